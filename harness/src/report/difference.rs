//! The difference between what a cell had to see and what it saw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Effects, Style};
use similar::{ChangeTag, TextDiff};

use crate::case::Expected;
use crate::printable::printable_line;

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// On which side a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffSide {
    /// It was expected and seen.
    Both,
    /// It was expected and not seen.
    Expected,
    /// It was seen and not expected.
    Observed,
}

impl DiffSide {
    /// How a unified diff writes it.
    #[must_use]
    pub(super) fn sign(self) -> char {
        match self {
            Self::Both => ' ',
            Self::Expected => '-',
            Self::Observed => '+',
        }
    }
}

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiffLine {
    /// Where it stands.
    pub(super) side: DiffSide,
    /// Its text in pieces, and whether a piece is what differs inside the line.
    pub(super) parts: Vec<(bool, String)>,
    /// Line of the case file that expects it; none of one that was only seen.
    pub(super) at: Option<usize>,
}

/// The lines of a unified diff of transcripts. Where a line only changed, what differs inside it is
/// marked on both sides.
#[must_use]
pub(super) fn lines(expected: &[Expected], observed: &[String]) -> Vec<DiffLine> {
    let old: Vec<&str> = expected.iter().map(|line| line.text.as_str()).collect();
    let new: Vec<&str> = observed.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&old, &new);
    let mut lines = Vec::new();
    for op in diff.ops() {
        for change in diff.iter_inline_changes(op) {
            let side = match change.tag() {
                ChangeTag::Equal => DiffSide::Both,
                ChangeTag::Delete => DiffSide::Expected,
                ChangeTag::Insert => DiffSide::Observed,
            };
            let related = related(change.iter_strings_lossy());
            let parts = change
                .iter_strings_lossy()
                .map(|(emphasis, text)| (emphasis && related, text.into_owned()))
                .collect();
            let at = change.old_index().map(|index| expected[index].line);
            lines.push(DiffLine { side, parts, at });
        }
    }
    lines
}

/// A unified diff of transcripts. Lines that were expected and not seen carry the place in the case
/// file that expects them; where a line only changed, what differs inside it is marked, by style on
/// a terminal and by a line of carets below it everywhere.
#[must_use]
pub fn difference(expected: &[Expected], observed: &[String], path: &Path) -> String {
    let mut out = String::from("--- expected\n+++ observed\n");
    for line in lines(expected, observed) {
        let style = match line.side {
            DiffSide::Both => Style::new(),
            DiffSide::Expected => REMOVED,
            DiffSide::Observed => ADDED,
        };
        let _ = write!(out, "{style}{}", line.side.sign());
        let (mut carets, mut marked) = (String::from(" "), false);
        for (emphasis, text) in &line.parts {
            marked |= emphasis;
            let inner = if *emphasis { style | Effects::UNDERLINE | Effects::BOLD } else { style };
            let text = printable_line(text);
            let _ = write!(out, "{style:#}{inner}{text}{inner:#}{style}");
            carets.extend(text.chars().map(|_| if *emphasis { '^' } else { ' ' }));
        }
        let _ = write!(out, "{style:#}");
        if let (DiffSide::Expected, Some(number)) = (line.side, line.at) {
            let _ = write!(out, "    {DIM}# {}:{number}{DIM:#}", path.display());
        }
        out.push('\n');
        if marked {
            let _ = writeln!(out, "{DIM}{}{DIM:#}", carets.trim_end());
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
    fn a_line_knows_its_side_and_the_line_of_the_case_file_that_expects_it() {
        let expected = ["a() = 0", "b() = 0"].map(|text| (text.to_owned(), 7));
        let expected = expected.map(|(text, line)| Expected { text, line });
        let lines = lines(&expected, &["a() = 0".to_owned(), "c".to_owned()]);
        let found: Vec<_> = lines.iter().map(|line| (line.side, line.at)).collect();
        let wanted =
            [(DiffSide::Both, Some(7)), (DiffSide::Expected, Some(7)), (DiffSide::Observed, None)];
        assert_eq!(found, wanted);
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
