//! Converts any text to ASCII without control characters, of a length that a mail can hold.

/// Longest prose that is shown, in characters.
const PROSE_LIMIT: usize = 2000;

/// Longest verbatim line that is shown, in characters.
const VERBATIM_LIMIT: usize = 2000;

/// Prose in ASCII on one line; other characters are transliterated.
pub(super) fn prose(text: &str) -> String {
    let text: String = text.chars().take(PROSE_LIMIT + 1).collect();
    let ascii = deunicode::deunicode_with_tofu(&text, "?");
    let printable: String =
        ascii.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    let words: Vec<&str> = printable.split_ascii_whitespace().collect();
    cut(words.join(" "), PROSE_LIMIT)
}

/// A line of a record, a transcript or a console, in which every character must stay recognisable:
/// characters outside ASCII are escaped by number.
pub(super) fn verbatim(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.trim_end().chars() {
        if text.len() > VERBATIM_LIMIT {
            break;
        }
        match c {
            ' '..='~' => text.push(c),
            '\t' => text.push_str("    "),
            c => text.extend(c.escape_unicode()),
        }
    }
    cut(text, VERBATIM_LIMIT)
}

/// Truncates a text to `limit` and marks its end if it was longer.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(limit);
        text.push_str("[...]");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("as it is", "as it is")]
    #[case("Jürgen — “§ 3”…", "Jurgen -- \"SS 3\"...")]
    #[case("two\r\nlines\tand \x1b[31mcolour\x07", "two lines and [31mcolour")]
    #[case("\u{202e}turned\u{2028}round", "turned round")]
    fn prose_is_transliterated(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(prose(text), expected);
    }

    #[rstest]
    #[case("  avc denied { open }  ", "  avc denied { open }")]
    #[case("a\tb", "a    b")]
    #[case("comm=\"é\"\x1b[2J", "comm=\"\\u{e9}\"\\u{1b}[2J")]
    fn verbatim_text_is_escaped(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(verbatim(line), expected);
    }

    proptest! {
        #[test]
        fn every_text_becomes_printable_ascii(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}|.{2500}") {
            for plain in [prose(&text), verbatim(&text)] {
                prop_assert!(plain.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                prop_assert!(plain.len() <= PROSE_LIMIT + 5, "{}", plain.len());
            }
        }
    }
}
