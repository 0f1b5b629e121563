//! Names, and details of cells and deaths as plain lines, for the formats that programs read.

use std::collections::HashSet;

use super::attempts::attempts;
use super::difference;
use super::wording::boot_description;
use crate::judge::Verdict;
use crate::record::{CONSOLE_LINES, CellResult, Death, LaneRun, LaneStarted, Run};
use crate::text::escaped;

/// Name of a lane: `Linux 6.1.192, policy minimal`.
pub(super) fn lane_name(lane: &LaneStarted) -> String {
    one_line(&format!("Linux {}, {}", lane.kernel.version, boot_description(lane)))
}

/// Name of a cell within its case: `none_t/paranoid=2/perfmon/enforcing`.
pub(super) fn name_in_case(cell: &CellResult) -> String {
    let name = cell.name.strip_prefix(&*cell.case).and_then(|rest| rest.strip_prefix('/'));
    name.map_or_else(|| cell.at.to_string(), str::to_owned)
}

/// The names in use; a name that is used again gets a number.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The name, or `name (2)` if it is in use.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number: usize| format!("{name} ({number})"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|name| self.0.insert(name.clone()));
        free.expect("numbers do not end")
    }
}

/// Number of cells of a lane that have no result.
pub(super) fn unseen(lane: &LaneRun) -> usize {
    lane.started.cells.saturating_sub(lane.cells.len())
}

/// Number of cells that have no result because their lanes did not begin.
pub(super) fn unseen_elsewhere(run: &Run) -> usize {
    run.unseen().saturating_sub(run.lanes.iter().map(unseen).sum())
}

/// The death of the boot while this cell ran.
pub(super) fn death_of<'a>(lane: &'a LaneRun, cell: &CellResult) -> Option<&'a Death> {
    let died = |death: &&Death| death.boot == cell.boot && death.cell.as_ref() == Some(&cell.name);
    lane.deaths.iter().find(died).filter(|_| cell.observation.is_none())
}

/// Cause of a death and the end of the console.
pub(super) fn death(death: &Death) -> Vec<String> {
    let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
    let mut text = lines(&format!("died{cell}: {death}"));
    let console = lines(&death.console);
    let tail = &console[console.len().saturating_sub(CONSOLE_LINES)..];
    text.extend(tail.iter().map(|line| format!("| {line}")));
    text.extend(death.memory.iter().flat_map(|memory| lines(&memory.to_string())));
    text
}

/// Details of a cell other than its verdict: title, reason, difference of the transcripts, notes.
pub(super) fn details(cell: &CellResult) -> Vec<String> {
    let judgement = &cell.judgement.with_lines(one_line);
    let mut text = lines(&format!("{} ({}:{})", cell.title, cell.path.display(), cell.line));
    text.extend(judgement.reason.iter().flat_map(|reason| lines(reason)));
    let differs = matches!(judgement.verdict, Verdict::Fail | Verdict::Xfail);
    if differs && !judgement.observed.is_empty() {
        let difference = difference(&judgement.expected, &judgement.observed, &cell.path);
        text.extend(lines(&difference.plain()));
    }
    text.extend(lines(&attempts(judgement, &cell.path).plain()));
    text.extend(judgement.notes.iter().flat_map(|note| lines(&format!("note: {note}"))));
    text
}

/// The lines of a text, with hidden characters written out: XML does not allow most of them, even
/// as entities. A tab becomes a blank.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| escaped(&line.replace('\t', " "))).collect()
}

/// The same as one line; indentation stays.
pub(super) fn one_line(text: &str) -> String {
    escaped(&text.trim_end().replace(['\t', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_used_again_gets_a_free_number() {
        let mut names = Names::default();
        let given = ["a", "a (2)", "a", "b"].map(|name| names.unique(name));
        assert_eq!(given, ["a", "a (2)", "a (3)", "b"]);
    }

    #[test]
    fn hidden_characters_are_written_out() {
        assert_eq!(
            lines("a\u{1b}[2J\tb\u{9b}c\u{ffff}\r\n\u{7f}"),
            [r"a\u{1b}[2J b\u{9b}c\u{ffff}", r"\u{7f}"]
        );
        assert_eq!(one_line("  a\nb\u{202e}\n"), r"  a b\u{202e}");
    }
}
