//! The series at a glance: one line per patch.

use super::super::page::{Page, WIDTH};
use super::super::plain;
use crate::counted::counted;
use crate::series::{
    ApplyResult, BootResult, BuildResult, PatchOutcome, SeriesOutcome, TestResult,
};

/// Names of the columns; the subject takes the rest of the line.
const HEAD: [&str; 5] = ["#", "apply", "build", "boot", "cells changed"];

/// An empty field.
const NOTHING: &str = "-";

/// Writes the table.
pub(super) fn write(outcome: &SeriesOutcome, page: &mut Page) {
    page.heading("Patches:");
    page.gap();
    let rows: Vec<[String; 5]> = outcome.patches.iter().map(row).collect();
    let width = |at: usize| {
        let widths = rows.iter().map(|row| row[at].len()).chain([HEAD[at].len()]);
        widths.max().unwrap_or(0)
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |cells: [&str; 5], subject: &str| {
        let mut text = format!("  {:>width$}", cells[0], width = widths[0]);
        for at in 1..cells.len() {
            text.push_str(&format!("  {:<width$}", cells[at], width = widths[at]));
        }
        let room = WIDTH.saturating_sub(text.len() + 2);
        format!("{text}  {}", fitted(subject, room))
    };
    page.line(&line(HEAD, "subject"));
    for (row, patch) in std::iter::zip(&rows, &outcome.patches) {
        page.line(&line(row.each_ref().map(String::as_str), &plain::prose(&patch.subject)));
    }
    if rows.iter().any(|row| row[3] == "same") {
        page.gap();
        page.prose(2, "same: bit for bit a kernel that has already run, so it was not run again");
    }
}

fn row(patch: &PatchOutcome) -> [String; 5] {
    let apply = match patch.apply {
        ApplyResult::NotTried => NOTHING,
        ApplyResult::Applied { .. } => "ok",
        ApplyResult::Failed { .. } => "FAIL",
    };
    let build = match &patch.build {
        None => NOTHING.to_owned(),
        Some(BuildResult::Failed { .. }) => "FAIL".to_owned(),
        Some(BuildResult::Built { new_warnings, .. }) => match new_warnings.len() {
            0 => "ok".to_owned(),
            warnings => counted(warnings, "warning"),
        },
    };
    let boot = match &patch.tested {
        None => NOTHING,
        Some(TestResult::Same { .. }) => "same",
        Some(TestResult::Ran(ran)) => match ran.boot {
            BootResult::Booted => "ok",
            BootResult::Died { .. } => "DIED",
            BootResult::Refused { .. } => "FAIL",
        },
    };
    [patch.number.to_string(), apply.to_owned(), build, boot.to_owned(), cells(patch)]
}

/// The number of cells that a patch changes.
fn cells(patch: &PatchOutcome) -> String {
    let Some(changed) = &patch.changed else {
        let same = matches!(patch.tested, Some(TestResult::Same { .. }));
        return if same { "none" } else { NOTHING }.to_owned();
    };
    let unstated = changed.unstated();
    let mut parts = match (changed.comparison.different() - unstated, unstated) {
        (0, 0) => vec!["none".to_owned()],
        (0, cells) => vec![cells.to_string()],
        (stated, 0) => vec![format!("{stated} as stated")],
        (stated, cells) => vec![cells.to_string(), format!("{stated} as stated")],
    };
    match changed.failing() {
        0 => {}
        failing => parts.push(format!("{failing} FAIL")),
    }
    parts.join(", ")
}

/// Shortens a text to `room` columns.
fn fitted(text: &str, room: usize) -> String {
    match text.len() <= room {
        true => text.to_owned(),
        // Plain text is ASCII.
        false => format!("{}...", text[..room.saturating_sub(3)].trim_end()),
    }
}
