//! The difference between what a cell had to see and what it saw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Effects, Style};
use similar::{ChangeTag, TextDiff};

use crate::case::Expected;

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// A unified diff of transcripts. Lines that were expected and not seen carry the place in the case
/// file that expects them; where a line only changed, what differs inside it is marked, by style on
/// a terminal and by a line of carets below it everywhere.
#[must_use]
pub fn difference(expected: &[Expected], observed: &[String], path: &Path) -> String {
    let old: Vec<&str> = expected.iter().map(|line| line.text.as_str()).collect();
    let new: Vec<&str> = observed.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&old, &new);
    let mut out = String::from("--- expected\n+++ observed\n");
    for op in diff.ops() {
        for change in diff.iter_inline_changes(op) {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', REMOVED),
                ChangeTag::Insert => ('+', ADDED),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let _ = write!(out, "{style}{sign}");
            let (mut carets, mut marked) = (String::from(" "), false);
            let related = related(change.iter_strings_lossy());
            for (emphasis, text) in change.iter_strings_lossy() {
                let emphasis = emphasis && related;
                marked |= emphasis;
                let inner =
                    if emphasis { style | Effects::UNDERLINE | Effects::BOLD } else { style };
                let _ = write!(out, "{style:#}{inner}{text}{inner:#}{style}");
                carets.extend(text.chars().map(|_| if emphasis { '^' } else { ' ' }));
            }
            let _ = write!(out, "{style:#}");
            if let (ChangeTag::Delete, Some(index)) = (change.tag(), change.old_index()) {
                let _ =
                    write!(out, "    {DIM}# {}:{}{DIM:#}", path.display(), expected[index].line);
            }
            out.push('\n');
            if marked {
                let _ = writeln!(out, "{DIM}{}{DIM:#}", carets.trim_end());
            }
        }
    }
    out
}

/// Whether a changed line is another state of its counterpart: more of it stayed than changed.
fn related<'a>(parts: impl Iterator<Item = (bool, Cow<'a, str>)>) -> bool {
    let (mut changed, mut kept) = (0, 0);
    for (emphasis, text) in parts {
        let letters = text.chars().filter(|c| !c.is_whitespace()).count();
        *(if emphasis { &mut changed } else { &mut kept }) += letters;
    }
    kept > changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(expected: &[&str], observed: &[&str]) -> String {
        let expected: Vec<_> = expected
            .iter()
            .enumerate()
            .map(|(at, text)| Expected { text: (*text).to_owned(), line: 40 + at })
            .collect();
        let observed: Vec<_> = observed.iter().map(ToString::to_string).collect();
        let text = difference(&expected, &observed, Path::new("cases/a.toml"));
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn what_differs_inside_a_line_is_marked_and_its_place_named() {
        let text = plain(
            &["open() = fd", "  avc denied { open } tclass=perf_event"],
            &["open() = fd", "  avc denied { cpu } tclass=perf_event"],
        );
        let expected = "--- expected\n+++ observed\n open() = fd\n\
            -  avc denied { open } tclass=perf_event    # cases/a.toml:41\n                ^^^^\n\
            +  avc denied { cpu } tclass=perf_event\n                ^^^\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn lines_that_have_little_in_common_are_not_marked_inside() {
        let text =
            plain(&["  avc denied { kernel } tclass=perf_event"], &["  cap perfmon = not held"]);
        assert!(!text.contains('^'), "{text}");
    }

    #[test]
    fn a_line_that_is_only_there_on_one_side_is_not_marked_inside() {
        let text = plain(&["a() = 0", "  cap perfmon = granted"], &["a() = 0"]);
        assert!(text.ends_with("-  cap perfmon = granted    # cases/a.toml:41\n"), "{text}");
    }
}
