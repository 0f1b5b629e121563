//! Wraps plain text to a width that mails keep.

use std::fmt::Write as _;

/// The width of the text in columns.
pub(super) const WIDTH: usize = 78;

/// Breaks a text at spaces so that lines have at most `width` columns. A longer word gets its own
/// line.
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

/// Writes a paragraph with this indent, and two columns more from the second line on.
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
    fn text_is_broken_at_spaces(#[case] text: &str, #[case] width: usize, #[case] lines: &str) {
        assert_eq!(wrapped(text, width), lines);
    }
}
