//! Prints the result of a bisection.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;

use super::outcome::{Bisection, Culprit};
use crate::compare;
use crate::counted::counted;
use crate::printable::printable;

const HEADING: Style = Style::new().bold();

/// How many of the cells that changed with another commit are named.
const NAMES: usize = 12;

/// The report, with ANSI styles.
#[must_use]
pub fn text(outcome: &Bisection) -> String {
    let mut out = String::new();
    let mut line = |text: &str| out.push_str(&format!("{}\n", printable(text)));
    match &outcome.found {
        Culprit::First { commit, .. } => {
            line(&format!("{} is the first bad commit", commit.commit));
            line(&format!("  {commit}"));
            line(&format!("  Author: {}", commit.author));
            line(&format!("  Date:   {}", commit.date));
        }
        Culprit::Skipped { commits } => {
            line("only skipped commits are left; the first bad commit is one of these:");
            commits.iter().for_each(|commit| line(&format!("  {commit}")));
        }
    }
    outcome.notes.iter().for_each(|note| line(&format!("note: {note}")));
    let across = match &outcome.found {
        Culprit::First { .. } => "across it, A before it and B with it",
        Culprit::Skipped { .. } => "between the ends, A good and B bad",
    };
    let _ = writeln!(out, "\n{HEADING}what differs {across}:{HEADING:#}\n");
    out.push_str(&compare::text(&outcome.across, false));
    if let Culprit::First { elsewhere, records, .. } = &outcome.found {
        if !elsewhere.is_empty() {
            let _ = writeln!(out, "\n{HEADING}what changed with another commit:{HEADING:#}\n");
            let shown = if elsewhere.len() > NAMES + 1 { NAMES } else { elsewhere.len() };
            elsewhere[..shown].iter().for_each(|name| {
                let _ = writeln!(out, "  {}", printable(name));
            });
            if shown < elsewhere.len() {
                let _ = writeln!(out, "  and {} more", elsewhere.len() - shown);
            }
        }
        let records: BTreeSet<_> = records.iter().collect();
        out.push('\n');
        for record in records {
            let _ = writeln!(out, "run record: {}", printable(&record.display().to_string()));
        }
    }
    let _ = writeln!(out, "\n{HEADING}how it was found:{HEADING:#}\n");
    for (word, end) in [("good", &outcome.good), ("bad", &outcome.bad)] {
        let _ = writeln!(out, "  {word:4}  {}", printable(&end.to_string()));
    }
    for step in &outcome.steps {
        let text = format!("{}: {}", step.commit, step.why);
        let _ = writeln!(out, "  {:4}  {}", step.mark.word(), printable(&text));
    }
    let _ = writeln!(out, "  {}", counts(outcome));
    let _ = writeln!(out, "\n{HEADING}git bisect log:{HEADING:#}\n");
    outcome.log.lines().for_each(|line| {
        let _ = writeln!(out, "  {}", printable(line));
    });
    out
}

/// The numbers of commits, steps and kernels in one line.
#[must_use]
pub(crate) fn counts(outcome: &Bisection) -> String {
    format!(
        "{}, {}, {}, {} skipped; the ends differ in {}",
        counted(outcome.commits, "commit"),
        counted(outcome.steps.len(), "step"),
        counted(outcome.built, "kernel"),
        outcome.skipped(),
        counted(outcome.cells.len(), "cell")
    )
}
