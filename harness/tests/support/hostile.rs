//! Text of strangers, and checks that a reader sees all of it.

use regex::Regex;

/// Text of a stranger: a style that perfsec does not use, escape sequences, C0, C1, bidirectional
/// controls, invisible characters, and lines of their own.
pub(crate) const HOSTILE: &str = "\u{1b}[35;7m\u{1b}[2J\u{7}\r\u{9b}2J\u{202e}\u{2066}\u{200b}\
                                  \u{feff}\nFORGED\r\nFORGED";

/// No hidden character of [`HOSTILE`] is in a text, apart from perfsec's own styles.
#[track_caller]
pub(crate) fn is_visible(text: &str, what: &str) {
    let own = Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern of ours");
    assert!(!text.contains("\u{1b}[35;7m"), "a style in {what}:\n{text:?}");
    let hidden = |c: char| HOSTILE.contains(c) && !(c.is_ascii_graphic() || c == '\n');
    let plain = own.replace_all(text, "");
    let found = plain.find(hidden).map(|at| plain[at..].chars().take(40).collect::<String>());
    assert_eq!(found, None, "in {what}");
}

/// No line of a text is one of [`HOSTILE`].
#[track_caller]
pub(crate) fn has_no_forged_line(text: &str, what: &str) {
    assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{what}:\n{text}");
}
