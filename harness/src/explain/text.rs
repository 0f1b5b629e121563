//! Plain text of a width that a mail shows unbroken.

use std::fmt::Write as _;

/// How wide lines are.
pub(super) const WIDTH: usize = 78;

/// Breaks a text at blanks so that no line is wider; a word that is wider has a line of its own.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// Writes a text below this indent, what is broken two deeper.
pub(super) fn paragraph(out: &mut String, indent: usize, text: &str) {
    let inner = wrapped(text, WIDTH - indent - 2);
    for (number, line) in inner.lines().enumerate() {
        let indent = if number == 0 { indent } else { indent + 2 };
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a b c", 3, "a b\nc")]
    #[case("a  b", 9, "a b")]
    #[case("longer than", 3, "longer\nthan")]
    #[case("", 3, "")]
    fn text_is_broken_at_blanks(#[case] text: &str, #[case] width: usize, #[case] lines: &str) {
        assert_eq!(wrapped(text, width), lines);
    }
}
