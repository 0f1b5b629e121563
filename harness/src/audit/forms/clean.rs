//! Removes what programs, terminals and pages put into a line: colours, escapes, other quotes.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// SGR sequences whose escape character is written out, or was lost when the text was copied:
/// `^[[0m`, `#033[0m`, `\e[0m`, `[0;1;39m`.
static COLOUR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let escape = r"\^\[|#033|\\033|\\x1[bB]|\\u001[bB]|\\e|\x{241b}";
    let numbers = r"[0-9]{1,3}(?:;[0-9]{1,3})*";
    Regex::new(&format!(r"(?:{escape})\[(?:{numbers})?[mK]|\[{numbers}m")).ok()
});

/// Quotes of CSV around a value: `comm=""perf""`.
static DOUBLED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"=""([^"\s=]+)"""#).ok());

/// The ways to write the character before auditd's own fields: rsyslog's, JSON's, a terminal's.
const SEPARATORS: [&str; 5] = ["#035", "\\u001d", "\\u001D", "\\x1d", "^]"];

/// Line ends between records that are written out: JSON's, rsyslog's.
const LINE_ENDS: [(&str, &str); 2] = [("\\ntype=", "\ntype="), ("#012type=", "\ntype=")];

/// Entities of HTML, the ampersand last.
const ENTITIES: [(&str, &str); 9] = [
    ("&quot;", "\""),
    ("&#34;", "\""),
    ("&#x22;", "\""),
    ("&#39;", "'"),
    ("&apos;", "'"),
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
];

/// Quotes that word processors and mail clients write.
const QUOTES: [char; 5] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}', '\u{2033}'];

/// A line in plain text.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    if line.contains('\u{1b}') {
        line = Cow::Owned(anstream::adapter::strip_str(&line).to_string());
    }
    if line.contains('[')
        && let Some(colour) = COLOUR.as_ref()
        && colour.is_match(&line)
    {
        line = Cow::Owned(colour.replace_all(&line, "").into_owned());
    }
    if line.contains('&') && line.contains(';') {
        for (entity, text) in ENTITIES {
            if line.contains(entity) {
                line = Cow::Owned(line.replace(entity, text));
            }
        }
    }
    if line.contains(QUOTES) {
        line = Cow::Owned(line.replace(QUOTES, "\""));
    }
    if line.contains("\\\"") {
        line = Cow::Owned(line.replace("\\\"", "\""));
    }
    if line.contains("=\"\"")
        && let Some(doubled) = DOUBLED.as_ref()
    {
        line = Cow::Owned(doubled.replace_all(&line, "=\"$1\"").into_owned());
    }
    for (end, text) in LINE_ENDS {
        if line.contains(end) {
            line = Cow::Owned(line.replace(end, text));
        }
    }
    for separator in SEPARATORS {
        if line.contains(separator) {
            line = Cow::Owned(line.replace(separator, "\u{1d}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::colours("\u{1b}[0;1;39mAVC\u{1b}[0m", "AVC")]
    #[case::of_grep("\u{1b}[01;31m\u{1b}[Kavc\u{1b}[m\u{1b}[K: x", "avc: x")]
    #[case::caret("^[[0;1;39mAVC^[[0m", "AVC")]
    #[case::rsyslog("#033[0mAVC#033[0m", "AVC")]
    #[case::copied("[0;1;39mAVC[0m", "AVC")]
    #[case::html("comm=&quot;perf&quot;", "comm=\"perf\"")]
    #[case::word("comm=\u{201c}perf\u{201d}", "comm=\"perf\"")]
    #[case::json("comm=\\\"perf\\\"", "comm=\"perf\"")]
    #[case::csv("comm=\"\"perf\"\"", "comm=\"perf\"")]
    #[case::empty_value("comm=\"\" exe=\"x\"", "comm=\"\" exe=\"x\"")]
    #[case::enriched("key=(null)#035ARCH=x86_64", "key=(null)\u{1d}ARCH=x86_64")]
    #[case::time("[  137.877713] audit", "[  137.877713] audit")]
    #[case::pid("audit[12]: AVC", "audit[12]: AVC")]
    fn a_line_becomes_plain_text(#[case] line: &str, #[case] plain: &str) {
        assert_eq!(clean(line), plain);
    }
}
