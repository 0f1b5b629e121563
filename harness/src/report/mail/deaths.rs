//! Boots that ended too early, with excerpts of their consoles.

use super::labels::{TestedKernel, boot_description};
use super::page::Page;
use crate::console::{self, ReportKind};
use crate::judge::Verdict;
use crate::record::{Death, LaneRun};

/// Number of lines shown of the kernel's own report.
const REPORT_LINES: usize = 40;

/// Number of lines shown of a console without a report of the kernel.
const LAST_LINES: usize = 12;

/// Writes the deaths that are not part of a failed cell.
pub(super) fn write(kernels: &[TestedKernel<'_>], page: &mut Page) {
    for tested in kernels {
        let deaths = tested.lanes.iter().flat_map(|lane| {
            let reported = |death: &&Death| failed(lane, death);
            lane.deaths.iter().filter(move |death| !reported(death))
        });
        for death in deaths {
            let cell = match &death.cell {
                Some(cell) => format!("while {cell} ran"),
                None => "while no cell ran".to_owned(),
            };
            page.heading("Death:");
            let what = format!("Linux {} {cell}: {death}", tested.label);
            page.item(2, &what);
            page.gap();
            excerpt(&death.console, &death.cause, 4, page);
        }
        for lane in &tested.lanes {
            refused(&tested.label, lane, page);
        }
    }
}

/// True if the report on a failed cell contains this death.
fn failed(lane: &LaneRun, death: &Death) -> bool {
    let cell = lane.cells.iter().find(|cell| Some(&cell.name) == death.cell.as_ref());
    cell.is_some_and(|cell| cell.judgement.verdict == Verdict::Fail)
}

fn refused(label: &str, lane: &LaneRun, page: &mut Page) {
    let Some(refused) = lane.end.as_ref().and_then(|end| end.refused.as_ref()) else { return };
    page.heading("Not tested:");
    let boot = boot_description(&lane.started);
    page.item(2, &format!("Linux {label}, {boot}: {}", refused.reason));
    page.gap();
    excerpt(&refused.console, &refused.reason, 4, page);
}

/// Writes the relevant part of a console: the kernel's own report, else the end.
pub(super) fn excerpt(console: &str, cause: &str, indent: usize, page: &mut Page) {
    let reports = console::reports(console);
    // A panic is the consequence; the report before it, if any, names the fault.
    let report = reports
        .iter()
        .find(|report| report.title == cause)
        .or_else(|| reports.iter().find(|report| report.kind != ReportKind::Panic))
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
