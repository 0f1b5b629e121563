//! Makes text from records safe to show, in addition to the escaping of mark-up, which `maud` does.

use std::borrow::Cow;
use std::fmt::Write as _;

use maud::{Markup, html};

use crate::text::escaped;

/// Number of notes above which they are folded and shown once: a policy that lacks classes causes a
/// hundred notes in every cell that loads it.
pub(super) const LONG: usize = 8;

/// Longest line that is shown in full, in characters.
const LONGEST: usize = 4000;

/// A line, cut to a length that a person can read.
pub(super) fn clipped(line: &str) -> Cow<'_, str> {
    match line.char_indices().nth(LONGEST) {
        None => line.into(),
        Some((at, _)) => {
            let rest = line[at..].chars().count();
            format!("{} … and {rest} characters more", &line[..at]).into()
        }
    }
}

/// A name as an `id`, which must not have white space.
pub(super) fn anchor(name: &str) -> String {
    name.replace(char::is_whitespace, "_")
}

/// A link within the document, to an `id`.
pub(super) fn fragment(id: &str) -> String {
    id.chars().fold(String::from("#"), |mut out, c| {
        if c.is_alphanumeric() || "/=+-_.:,*".contains(c) {
            out.push(c);
        } else {
            // The document has invisible characters escaped.
            for byte in escaped(c.encode_utf8(&mut [0; 4])).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

/// A link, if its target is a plain web address; else the text.
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

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
    fn only_a_web_address_is_a_link(#[case] target: &str, #[case] is: bool) {
        assert_eq!(link(target).into_string().contains("<a href="), is);
    }

    #[rstest]
    #[case(
        "open/cpu/none_t/paranoid=-1/a+b/enforcing",
        "#open/cpu/none_t/paranoid=-1/a+b/enforcing"
    )]
    #[case("a b", "#a_b")]
    #[case("50%\"<", "#50%25%22%3C")]
    fn a_fragment_is_encoded_for_a_browser(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(fragment(&anchor(name)), expected);
    }
}
