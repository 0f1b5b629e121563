//! The difference between the expected and the observed transcript of a cell.

use std::borrow::Cow;
use std::path::Path;

use anstyle::{AnsiColor, Effects, Style};
use similar::{ChangeTag, TextDiff};

use crate::text::{Text, escaped};
use crate::transcript::{FittedTranscript, Transcript};

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// The side of a line in a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffSide {
    /// Expected and observed.
    Both,
    /// Expected only.
    Expected,
    /// Observed only.
    Observed,
}

impl DiffSide {
    /// Its sign in a unified diff.
    #[must_use]
    pub(super) fn sign(self) -> char {
        match self {
            Self::Both => ' ',
            Self::Expected => '-',
            Self::Observed => '+',
        }
    }
}

/// A line of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiffLine {
    /// Its side.
    pub(super) side: DiffSide,
    /// Its text in pieces; true marks a piece that differs from the line's counterpart.
    pub(super) parts: Vec<(bool, String)>,
    /// Line of the case file that expects it; `None` if it was only observed.
    pub(super) at: Option<usize>,
}

/// The lines of a unified diff of transcripts. If a line was only changed, the pieces that differ
/// are marked on both sides.
#[must_use]
pub(super) fn lines(expected: &FittedTranscript, observed: &Transcript) -> Vec<DiffLine> {
    let (old, places): (Vec<String>, Vec<usize>) = expected.lines().unzip();
    let new: Vec<String> = observed.lines().collect();
    let diff = TextDiff::from_slices(&texts(&old), &texts(&new));
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
            let at = change.old_index().map(|index| places[index]);
            lines.push(DiffLine { side, parts, at });
        }
    }
    lines
}

/// A unified diff of transcripts. Lines that are expected only name the line of the case file that
/// expects them. If a line was only changed, the pieces that differ are marked, on a terminal by
/// their style, and everywhere by a line of carets below.
#[must_use]
pub fn difference(expected: &FittedTranscript, observed: &Transcript, path: &Path) -> Text {
    let mut out = Text::new();
    out.line("--- expected").line("+++ observed");
    for line in lines(expected, observed) {
        let style = match line.side {
            DiffSide::Both => Style::new(),
            DiffSide::Expected => REMOVED,
            DiffSide::Observed => ADDED,
        };
        out.paint(style, line.side.sign());
        let (mut carets, mut marked) = (String::from(" "), false);
        for (emphasis, text) in &line.parts {
            marked |= emphasis;
            let inner = if *emphasis { style | Effects::UNDERLINE | Effects::BOLD } else { style };
            // The carets are as wide as the text that is shown.
            let text = escaped(text);
            carets.extend(text.chars().map(|_| if *emphasis { '^' } else { ' ' }));
            out.paint(inner, text);
        }
        if let (DiffSide::Expected, Some(number)) = (line.side, line.at) {
            out.span("    ").paint(DIM, format_args!("# {}:{number}", path.display()));
        }
        out.end();
        if marked {
            out.paint(DIM, carets.trim_end()).end();
        }
    }
    out
}

fn texts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

/// True if most of a changed line is the same as in its counterpart.
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
        let expected = expected.iter().zip(40..).collect();
        let observed = observed.iter().collect();
        difference(&expected, &observed, Path::new("cases/a.toml")).plain()
    }

    #[test]
    fn a_changed_piece_of_a_line_is_marked_and_the_line_of_the_case_is_named() {
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
        let expected = [("a() = 0", 7), ("b() = 0", 7)].into_iter().collect();
        let lines = lines(&expected, &["a() = 0", "c"].into_iter().collect());
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
    fn a_line_of_one_side_only_is_not_marked_inside() {
        let text = plain(&["a() = 0", "  cap perfmon = granted"], &["a() = 0"]);
        assert!(text.ends_with("-  cap perfmon = granted    # cases/a.toml:41\n"), "{text}");
    }
}
