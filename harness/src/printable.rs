//! Escapes text from guests, records and files for terminals and HTML pages.

/// Escapes every character that a terminal or a browser would act on or not display. Newlines and
/// tabs stay.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    escape(text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'))
}

/// The same for one line: newlines and tabs are escaped too.
#[must_use]
pub(crate) fn printable_line(text: &str) -> String {
    escape(text, is_hidden)
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_hidden(c: char) -> bool {
    match c {
        // Bidirectional controls, joiners, invisible operators, tags, byte order marks.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        // Noncharacters.
        '\u{fdd0}'..='\u{fdef}' => true,
        c => c.is_control() || u32::from(c) & 0xfffe == 0xfffe,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("unchanged: é, 語, \u{fffd}", "unchanged: é, 語, \u{fffd}")]
    #[case("\u{1b}[2J\u{7f}\u{9b}", r"\u{1b}[2J\u{7f}\u{9b}")]
    #[case("a\u{202e}b\u{200b}\u{feff}", r"a\u{202e}b\u{200b}\u{feff}")]
    #[case("\u{ffff}\0", r"\u{ffff}\u{0}")]
    fn hidden_characters_are_escaped(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(printable(text), shown);
        assert_eq!(printable_line(text), shown);
    }

    #[test]
    fn newlines_are_escaped_only_in_a_line() {
        assert_eq!(printable("a\n\tb"), "a\n\tb");
        assert_eq!(printable_line("a\n\tb"), r"a\n\tb");
    }
}
