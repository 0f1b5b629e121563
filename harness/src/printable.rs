//! Text from guests, records and files, made safe to show on a terminal and in a page.

/// Text of which every character is seen: one that a terminal or a browser would act on, or not show, is
/// written out as its number. Lines and tabs stay.
#[must_use]
pub(crate) fn printable(text: &str) -> String {
    written_out(text, |c| is_hidden(c) && !matches!(c, '\n' | '\t'))
}

/// The same in one line: ends of lines and tabs are written out too.
#[must_use]
pub(crate) fn printable_line(text: &str) -> String {
    written_out(text, is_hidden)
}

fn written_out(text: &str, hidden: impl Fn(char) -> bool) -> String {
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
        // Marks of direction, joiners, invisible operators, tags, byte order marks.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        // What is no character in any document.
        '\u{fdd0}'..='\u{fdef}' => true,
        c => c.is_control() || u32::from(c) & 0xfffe == 0xfffe,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("as it is: é, 語, \u{fffd}", "as it is: é, 語, \u{fffd}")]
    #[case("\u{1b}[2J\u{7f}\u{9b}", r"\u{1b}[2J\u{7f}\u{9b}")]
    #[case("a\u{202e}b\u{200b}\u{feff}", r"a\u{202e}b\u{200b}\u{feff}")]
    #[case("\u{ffff}\0", r"\u{ffff}\u{0}")]
    fn what_would_act_or_hide_is_written_out(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(printable(text), shown);
        assert_eq!(printable_line(text), shown);
    }

    #[test]
    fn only_a_line_writes_out_what_ends_it() {
        assert_eq!(printable("a\n\tb"), "a\n\tb");
        assert_eq!(printable_line("a\n\tb"), r"a\n\tb");
    }
}
