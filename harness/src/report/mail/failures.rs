//! The failures, and the cells that behave differently on repetition: each distinct difference
//! once, with all cells that show it.

use std::path::Path;

use super::deaths;
use super::labels::{TestedKernel, case_file, lanes, list};
use super::page::Page;
use super::plain;
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun, Run};
use crate::report::{attempts, difference};

/// Size in octets after which differences are only named: the kernel's lists refuse mail of more
/// than 100,000 octets.
pub(super) const ROOM: usize = 60_000;

/// Number of cells named that differ in the same way.
const NAMES: usize = 12;

/// Number of groups named without their differences.
const GROUPS: usize = 100;

/// Number of lines of a difference that are shown.
pub(super) const LINES: usize = 150;

/// Cells that differ in the same way.
#[derive(Debug)]
pub(super) struct FailureGroup<'a> {
    /// The first cell, on the newest kernel.
    first: &'a CellResult,
    lane: &'a LaneRun,
    /// The cells, each with the label of its lane.
    cells: Vec<(&'a str, &'a CellResult)>,
}

/// Writes every difference, those of the newest kernel first.
pub(super) fn write(run: &Run, kernels: &[TestedKernel<'_>], page: &mut Page) {
    section(run, kernels, Verdict::Fail, "Failures", page);
    section(run, kernels, Verdict::Flaky, "Different on repetition, so not judged", page);
}

fn section(
    run: &Run,
    kernels: &[TestedKernel<'_>],
    verdict: Verdict,
    heading: &str,
    page: &mut Page,
) {
    let lanes = lanes(kernels);
    let groups = groups(&lanes, verdict);
    let cases = run.started.asked.cases_directory.as_deref();
    if groups.is_empty() {
        return;
    }
    let order = if kernels.len() > 1 { ", newest kernel first" } else { "" };
    page.heading(&format!("{heading}{order}:"));
    let mut left_out = groups.len();
    for (at, group) in groups.iter().enumerate() {
        if page.size() > ROOM {
            break;
        }
        page.gap();
        let file = case_file(&group.first.path, cases);
        group.write(at + 1, &file, page);
        left_out -= 1;
    }
    if left_out > 0 {
        page.gap();
        page.prose(2, &format!("{left_out} more, without their transcripts, to save space:"));
        let rest = &groups[groups.len() - left_out..];
        for group in rest.iter().take(GROUPS) {
            let cells = counted(group.cells.len(), "cell");
            page.item(4, &format!("{} ({cells}): {}", group.first.name, group.first.title));
        }
        if left_out > GROUPS {
            page.prose(4, &format!("and {} more", left_out - GROUPS));
        }
    }
}

fn groups<'a>(lanes: &'a [(String, &'a LaneRun)], verdict: Verdict) -> Vec<FailureGroup<'a>> {
    let mut groups: Vec<FailureGroup<'a>> = Vec::new();
    for (label, lane) in lanes {
        for cell in lane.cells.iter().filter(|cell| cell.judgement.verdict == verdict) {
            match groups.iter_mut().find(|group| group.has(cell)) {
                Some(group) => group.cells.push((label, cell)),
                None => groups.push(FailureGroup { first: cell, lane, cells: vec![(label, cell)] }),
            }
        }
    }
    groups
}

impl FailureGroup<'_> {
    /// True if a cell differs in the same way.
    fn has(&self, cell: &CellResult) -> bool {
        let (a, b) = (&self.first.judgement, &cell.judgement);
        self.first.path == cell.path
            && (&a.reason, &a.expected, &a.observed) == (&b.reason, &b.expected, &b.observed)
            && a.attempts == b.attempts
    }

    fn write(&self, number: usize, file: &Path, page: &mut Page) {
        let first = self.first;
        let judgement = &first.judgement;
        page.numbered(number, &first.title);
        self.names(page);
        page.item(5, &format!("expected by {}:{}", file.display(), first.line));
        for source in &first.source {
            page.item(5, &format!("promised by {source}"));
        }
        if let Some(reason) = &judgement.reason {
            page.item(5, reason);
        }
        page.gap();
        if judgement.observed.is_empty() && judgement.attempts.is_empty() {
            self.console(page);
        } else {
            self.difference(file, page);
        }
        page.gap();
        for note in &judgement.notes {
            page.item(5, &format!("note: {note}"));
        }
    }

    /// Writes the names of the cells, each once, with the lanes on which they fail.
    fn names(&self, page: &mut Page) {
        let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
        for (label, cell) in &self.cells {
            match names.iter_mut().find(|(name, _)| *name == cell.name) {
                Some((_, labels)) if labels.contains(label) => {}
                Some((_, labels)) => labels.push(label),
                None => names.push((&cell.name, vec![label])),
            }
        }
        let everywhere = names.iter().all(|(_, labels)| *labels == names[0].1);
        let mut labels: Vec<&str> = self.cells.iter().map(|(label, _)| *label).collect();
        labels.dedup();
        page.item(5, &format!("Linux {}, {}:", list(&labels), counted(names.len(), "cell")));
        for (name, labels) in names.iter().take(NAMES) {
            let labels = if everywhere { String::new() } else { format!(" (on {})", list(labels)) };
            page.name(7, name, &labels);
        }
        if names.len() > NAMES {
            page.prose(7, &format!("and {} more", names.len() - NAMES));
        }
    }

    fn difference(&self, file: &Path, page: &mut Page) {
        let judgement = self.first.judgement.with_lines(plain::verbatim);
        let text = match judgement.attempts.as_slice() {
            [] => difference(&judgement.expected, &judgement.observed, file),
            _ => attempts::attempts(&judgement, file),
        };
        let text = text.plain();
        for line in text.lines().take(LINES) {
            page.verbatim(5, line);
        }
        let lines = text.lines().count();
        if lines > LINES {
            page.prose(5, &format!("and {} more", counted(lines - LINES, "line")));
        }
    }

    /// Writes the console of the boot that died in the cell.
    fn console(&self, page: &mut Page) {
        let died = |name: &str| name == self.first.name;
        let death = self.lane.deaths.iter().find(|death| death.cell.as_deref().is_some_and(died));
        if let Some(death) = death {
            page.prose(5, &format!("The console of Linux {}:", self.cells[0].0));
            deaths::excerpt(&death.console, &death.cause, 5, page);
        }
    }
}
