//! What the forms for machines have in common: names, and what is said of a cell, in plain lines.

use std::collections::HashSet;

use anstream::adapter::strip_str;

use super::difference;
use super::summary::{CONSOLE_LINES, world};
use crate::case::ExpectedLine;
use crate::judge::Verdict;
use crate::record::{CellResult, Death, LaneRun, LaneStarted, Run};

/// What a lane is called: `Linux 6.1.192, policy minimal`.
pub(super) fn lane_name(lane: &LaneStarted) -> String {
    one_line(&format!("Linux {}, {}", lane.kernel.version, world(lane)))
}

/// What a cell is called within its case: `none_t/paranoid=2/perfmon/enforcing`.
pub(super) fn name_in_case(cell: &CellResult) -> String {
    let name = cell.name.strip_prefix(&*cell.case).and_then(|rest| rest.strip_prefix('/'));
    name.map_or_else(|| cell.at.to_string(), str::to_owned)
}

/// Names that were given; a name that comes again gets a number.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// The name, or `name (2)` when it was given before.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number: usize| format!("{name} ({number})"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|name| self.0.insert(name.clone()));
        free.expect("numbers do not end")
    }
}

/// How many cells of a lane have no result.
pub(super) fn unseen(lane: &LaneRun) -> usize {
    lane.started.cells.saturating_sub(lane.cells.len())
}

/// How many cells have no result because their lanes did not begin.
pub(super) fn unseen_elsewhere(run: &Run) -> usize {
    run.unseen().saturating_sub(run.lanes.iter().map(unseen).sum())
}

/// The boot that ended while this cell ran.
pub(super) fn death_of<'a>(lane: &'a LaneRun, cell: &CellResult) -> Option<&'a Death> {
    let died = |death: &&Death| death.boot == cell.boot && death.cell.as_ref() == Some(&cell.name);
    lane.deaths.iter().find(died).filter(|_| cell.observation.is_none())
}

/// What a machine died of, and the end of its console.
pub(super) fn death(death: &Death) -> Vec<String> {
    let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
    let mut text = lines(&format!("died{cell}: {} ({})", death.cause, death.end));
    let console = lines(&death.console);
    let tail = &console[console.len().saturating_sub(CONSOLE_LINES)..];
    text.extend(tail.iter().map(|line| format!("| {line}")));
    text
}

/// What there is to know about a cell besides its verdict: what it shows, why it was judged so, the
/// difference of the transcripts, notes.
pub(super) fn details(cell: &CellResult) -> Vec<String> {
    let judgement = &cell.judgement;
    let mut text = lines(&format!("{} ({}:{})", cell.title, cell.path.display(), cell.line));
    text.extend(judgement.reason.iter().flat_map(|reason| lines(reason)));
    let differs = matches!(judgement.verdict, Verdict::Fail | Verdict::Xfail);
    if differs && !judgement.observed.is_empty() {
        let expected: Vec<_> = judgement
            .expected
            .iter()
            .map(|line| ExpectedLine { text: one_line(&line.text), line: line.line })
            .collect();
        let observed: Vec<_> = judgement.observed.iter().map(|line| one_line(line)).collect();
        let difference = difference(&expected, &observed, &cell.path);
        text.extend(lines(&strip_str(&difference).to_string()));
    }
    text.extend(judgement.notes.iter().flat_map(|note| lines(&format!("note: {note}"))));
    text
}

/// The lines of a text, without what could steer a terminal or is no text.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.chars().map(harmless).collect()).collect()
}

/// The same, in one line; indentation stays.
pub(super) fn one_line(text: &str) -> String {
    text.trim_end().chars().map(|c| if c == '\n' { ' ' } else { harmless(c) }).collect()
}

/// XML has no U+FFFE and no U+FFFF, and people see no difference between a tab and spaces.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_gets_a_number_that_is_free() {
        let mut names = Names::default();
        let given = ["a", "a (2)", "a", "b"].map(|name| names.unique(name));
        assert_eq!(given, ["a", "a (2)", "a (3)", "b"]);
    }

    #[test]
    fn what_could_steer_a_terminal_is_replaced() {
        assert_eq!(
            lines("a\u{1b}[2J\tb\u{9b}c\u{ffff}\r\n\u{7f}"),
            ["a\u{fffd}[2J b\u{fffd}c\u{fffd}", "\u{fffd}"]
        );
        assert_eq!(one_line("  a\nb\n"), "  a b");
    }
}
