//! Text from records, made safe to show; `maud` escapes mark-up, this does what escaping does not.

use std::borrow::Cow;
use std::fmt::Write as _;

use maud::{Markup, html};

/// Longest line that is shown whole, in characters.
const LONGEST: usize = 4000;

/// The document without characters that a browser would not show, or that would change the order in
/// which others are shown: each is written out.
pub(super) fn visible(document: &str) -> String {
    document.chars().fold(String::with_capacity(document.len()), |mut out, c| {
        if is_hidden(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
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
        // What is no character in any HTML document.
        '\u{fdd0}'..='\u{fdef}' => true,
        c => c.is_control() || u32::from(c) & 0xfffe == 0xfffe,
    }
}

/// A line of which a person can read all that is shown.
pub(super) fn clipped(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(LONGEST) {
        None => line.into(),
        Some((at, _)) => {
            let rest = line[at..].chars().count();
            format!("{} … and {rest} characters more", &line[..at]).into()
        }
    }
}

/// The `id` of something by its name: an `id` has no white space.
pub(super) fn anchor(name: &str) -> String {
    name.replace(char::is_whitespace, "_")
}

/// A link to something in the document by its `id`.
pub(super) fn fragment(id: &str) -> String {
    id.chars().fold(String::from("#"), |mut out, c| {
        if c.is_alphanumeric() || "/=+-_.:,*".contains(c) {
            out.push(c);
        } else {
            // As the document has it: written out when it is hidden.
            for byte in visible(c.encode_utf8(&mut [0; 4])).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// A link, when it is one that a browser opens on the web and nothing else.
pub(super) fn link(target: &str) -> Markup {
    let lower = target.to_ascii_lowercase();
    let web = ["https://", "http://"].iter().any(|scheme| lower.starts_with(scheme));
    let plain = target.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    html! {
        @if web && plain {
            a href=(target) rel="noopener noreferrer nofollow" { (clipped(target)) }
        } @else {
            (clipped(target))
        }
    }
}

/// `1 cell`, `2 cells`.
pub(super) fn many(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("plain — é\n\ttext", "plain — é\n\ttext")]
    #[case("\u{1b}[31m\0\r", "\\u{1b}[31m\\u{0}\\u{d}")]
    #[case("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}")]
    #[case("\u{feff}\u{ffff}\u{1fffe}", "\\u{feff}\\u{ffff}\\u{1fffe}")]
    fn what_cannot_be_seen_is_written_out(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(visible(text), shown);
    }

    #[test]
    fn a_long_line_is_cut_and_says_by_how_much() {
        let line = "é".repeat(LONGEST);
        assert_eq!(clipped(&line), line);
        let longer = line.clone() + "éé";
        assert_eq!(clipped(&longer), line + " … and 2 characters more");
    }

    #[rstest]
    #[case("https://example.org/?a=1&b=2", true)]
    #[case("HTTP://example.org", true)]
    #[case("javascript:alert(1)", false)]
    #[case("data:text/html,x", false)]
    #[case("https://example.org/ x", false)]
    #[case("https://example.org/\u{202e}", false)]
    #[case("https://example.org/<b>", false)]
    #[case("CVE-2020-0001", false)]
    fn only_what_leads_to_the_web_is_a_link(#[case] target: &str, #[case] is: bool) {
        assert_eq!(link(target).into_string().contains("<a href="), is);
    }

    #[rstest]
    #[case(
        "open/cpu/none_t/paranoid=-1/a+b/enforcing",
        "#open/cpu/none_t/paranoid=-1/a+b/enforcing"
    )]
    #[case("a b", "#a_b")]
    #[case("50%\"<", "#50%25%22%3C")]
    fn a_fragment_is_a_name_as_a_browser_takes_it(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(fragment(&anchor(name)), expected);
    }
}
