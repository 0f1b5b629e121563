//! Text from records, made safe to show; `maud` escapes mark-up, this does what escaping does not.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::printable::printable;
use maud::{Markup, html};

/// How many notes are shown at once, and as often as they come: a policy that lacks classes makes a
/// hundred, in every cell that loads it.
pub(super) const LONG: usize = 8;

/// Longest line that is shown whole, in characters.
const LONGEST: usize = 4000;

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
            for byte in printable(c.encode_utf8(&mut [0; 4])).bytes() {
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
