//! Cells that neither passed nor failed: skipped, known to differ, or not judged.

use super::labels::{TestedKernel, list};
use super::page::Page;
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::CellResult;

/// Number of cells named per reason.
const NAMES: usize = 5;

/// Cells with the same reason.
struct ReasonGroup<'a> {
    reason: &'a str,
    link: Option<&'a str>,
    labels: Vec<&'a str>,
    cells: Vec<&'a CellResult>,
}

/// Writes cells that could not be judged, known differences and skipped cells.
pub(super) fn write(kernels: &[TestedKernel<'_>], page: &mut Page) {
    let sections = [
        (Verdict::Error, "Not judged, because the cell could not be carried out:", true),
        (Verdict::Miss, "Not judged, because the machine or perfsec died first:", true),
        (Verdict::Xpass, "Known differences that are gone:", true),
        (Verdict::Xfail, "Known differences:", true),
        (Verdict::Skip, "Skipped:", false),
    ];
    for (verdict, heading, named) in sections {
        let groups = groups(kernels, verdict);
        if !groups.is_empty() {
            page.heading(heading);
        }
        for group in groups {
            group.write(named, page);
        }
    }
    unseen(kernels, page);
}

fn groups<'a>(kernels: &'a [TestedKernel<'a>], verdict: Verdict) -> Vec<ReasonGroup<'a>> {
    let mut groups: Vec<ReasonGroup<'a>> = Vec::new();
    for (label, cell) in cells(kernels) {
        if cell.judgement.verdict != verdict {
            continue;
        }
        let known = cell.judgement.known.as_ref();
        let reason = known.map(|known| known.reason.as_str());
        let reason = reason.or(cell.judgement.reason.as_deref()).unwrap_or("no reason");
        let link = known.and_then(|known| known.link.as_deref());
        let at = groups.iter().position(|group| (group.reason, group.link) == (reason, link));
        let at = at.unwrap_or_else(|| {
            groups.push(ReasonGroup { reason, link, labels: Vec::new(), cells: Vec::new() });
            groups.len() - 1
        });
        groups[at].cells.push(cell);
        if !groups[at].labels.contains(&label) {
            groups[at].labels.push(label);
        }
    }
    groups
}

/// Every cell with the label of its kernel, except those of lanes already reported as not tested.
fn cells<'a>(kernels: &'a [TestedKernel<'a>]) -> impl Iterator<Item = (&'a str, &'a CellResult)> {
    kernels.iter().flat_map(|tested| {
        let cells = tested.lanes.iter().flat_map(|lane| {
            let reported = |cell: &&CellResult| {
                lane.refused().is_some() && cell.judgement.reason.as_deref() == lane.refused()
            };
            lane.cells.iter().filter(move |cell| !reported(cell))
        });
        cells.map(|cell| (tested.label.as_str(), cell))
    })
}

impl ReasonGroup<'_> {
    fn write(&self, named: bool, page: &mut Page) {
        let cells = counted(self.cells.len(), "cell");
        let labels = list(&self.labels);
        page.item(2, &format!("{cells} on Linux {labels}: {}", self.reason));
        if let Some(link) = self.link {
            page.verbatim(4, link);
        }
        if !named {
            return;
        }
        let mut names: Vec<&str> = self.cells.iter().map(|cell| cell.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.iter().take(NAMES) {
            page.name(4, name, "");
        }
        if names.len() > NAMES {
            page.prose(4, &format!("and {} more", names.len() - NAMES));
        }
    }
}

/// Writes why capability checks could not be observed.
fn unseen(kernels: &[TestedKernel<'_>], page: &mut Page) {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for (_, cell) in cells(kernels) {
        let why = cell.observation.as_ref().and_then(|seen| seen.caps_unseen.as_deref());
        let Some(why) = why else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, number)) => *number += 1,
            None => reasons.push((why, 1)),
        }
    }
    if !reasons.is_empty() {
        page.heading("Capability checks that were not compared:");
    }
    for (why, number) in reasons {
        page.item(2, &format!("in {}: {why}", counted(number, "cell")));
    }
}
