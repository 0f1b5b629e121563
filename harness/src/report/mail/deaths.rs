//! Boots that ended too early, and what their consoles say about it.

use super::labels::{TestedKernel, world};
use super::page::Page;
use crate::console::{self, Kind};
use crate::judge::Verdict;
use crate::record::{Death, LaneRun};

/// How many lines of the kernel's own report are shown.
const REPORT_LINES: usize = 40;

/// How many lines of a console are shown on which the kernel reports nothing.
const LAST_LINES: usize = 12;

/// The deaths that no failed cell tells of.
pub(super) fn write(kernels: &[TestedKernel<'_>], page: &mut Page) {
    for tested in kernels {
        let deaths = tested.lanes.iter().flat_map(|lane| {
            let told = |death: &&Death| failed(lane, death);
            lane.deaths.iter().filter(move |death| !told(death))
        });
        for death in deaths {
            let cell = match &death.cell {
                Some(cell) => format!("while {cell} ran"),
                None => "while no cell ran".to_owned(),
            };
            page.heading("Death:");
            let what = format!("Linux {} {cell}: {} ({})", tested.label, death.cause, death.end);
            page.item(2, &what);
            page.gap();
            excerpt(&death.console, &death.cause, 4, page);
        }
        for lane in &tested.lanes {
            refused(&tested.label, lane, page);
        }
    }
}

/// Whether a failed cell tells of this death.
fn failed(lane: &LaneRun, death: &Death) -> bool {
    let cell = lane.cells.iter().find(|cell| Some(&cell.name) == death.cell.as_ref());
    cell.is_some_and(|cell| cell.judgement.verdict == Verdict::Fail)
}

fn refused(label: &str, lane: &LaneRun, page: &mut Page) {
    let Some(refused) = lane.end.as_ref().and_then(|end| end.refused.as_ref()) else { return };
    page.heading("Not tested:");
    let world = world(&lane.started);
    page.item(2, &format!("Linux {label}, {world}: {}", refused.reason));
    page.gap();
    excerpt(&refused.console, &refused.reason, 4, page);
}

/// The part of a console that matters: what the kernel reports of itself, else the end.
pub(super) fn excerpt(console: &str, cause: &str, indent: usize, page: &mut Page) {
    let reports = console::reports(console);
    // A panic names the consequence; the report before it, if there is one, names the fault.
    let report = reports
        .iter()
        .find(|report| report.title == cause)
        .or_else(|| reports.iter().find(|report| report.kind != Kind::Panic))
        .or(reports.first());
    let lines: Vec<&str> = match report {
        Some(report) => report.excerpt.lines().take(REPORT_LINES).collect(),
        None => {
            let lines: Vec<_> = console.lines().filter(|line| !line.trim().is_empty()).collect();
            lines[lines.len().saturating_sub(LAST_LINES)..].to_vec()
        }
    };
    for line in lines {
        page.verbatim(indent, &format!("| {line}"));
    }
}
