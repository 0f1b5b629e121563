//! Prints the result of a bisection.

use std::collections::BTreeSet;

use anstyle::Style;

use super::outcome::{Bisection, Culprit};
use crate::compare;
use crate::counted::counted;
use crate::text::{Text, line};

const HEADING: Style = Style::new().bold();

/// How many of the cells that changed with another commit are named.
const NAMES: usize = 12;

/// The report.
#[must_use]
pub fn text(outcome: &Bisection) -> Text {
    let mut out = Text::new();
    match &outcome.found {
        Culprit::First { commit, .. } => {
            line!(out, "{} is the first bad commit", commit.commit);
            line!(out, "  {commit}");
            line!(out, "  Author: {}", commit.author);
            line!(out, "  Date:   {}", commit.date);
        }
        Culprit::Skipped { commits } => {
            out.line("only skipped commits are left; the first bad commit is one of these:");
            commits.iter().for_each(|commit| line!(out, "  {commit}"));
        }
    }
    outcome.notes.iter().for_each(|note| line!(out, "note: {note}"));
    let across = match &outcome.found {
        Culprit::First { .. } => "across it, A before it and B with it",
        Culprit::Skipped { .. } => "between the ends, A good and B bad",
    };
    heading(&format!("what differs {across}:"), &mut out);
    out.append(&compare::text(&outcome.across, false));
    if let Culprit::First { elsewhere, records, .. } = &outcome.found {
        if !elsewhere.is_empty() {
            heading("what changed with another commit:", &mut out);
            let shown = if elsewhere.len() > NAMES + 1 { NAMES } else { elsewhere.len() };
            elsewhere[..shown].iter().for_each(|name| line!(out, "  {name}"));
            if shown < elsewhere.len() {
                line!(out, "  and {} more", elsewhere.len() - shown);
            }
        }
        let records: BTreeSet<_> = records.iter().collect();
        out.end();
        for record in records {
            line!(out, "run record: {}", record.display());
        }
    }
    heading("how it was found:", &mut out);
    for (word, end) in [("good", &outcome.good), ("bad", &outcome.bad)] {
        line!(out, "  {word:4}  {end}");
    }
    for step in &outcome.steps {
        line!(out, "  {:4}  {}: {}", step.mark.word(), step.commit, step.why);
    }
    line!(out, "  {}", counts(outcome));
    heading("git bisect log:", &mut out);
    outcome.log.lines().for_each(|words| line!(out, "  {words}"));
    out
}

pub(super) fn heading(words: &str, out: &mut Text) {
    out.end().paint(HEADING, words).end().end();
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
