//! Prints the result of a bisection of configurations.

use std::collections::BTreeSet;
use std::fmt;

use super::super::text::heading;
use super::outcome::{ChangedOption, ConfigBisection};
use crate::compare;
use crate::counted::counted;
use crate::text::{Text, line};

/// The report.
#[must_use]
pub fn config_text(outcome: &ConfigBisection) -> Text {
    let mut out = Text::new();
    match &outcome.culprit {
        Some(option) => line!(out, "{option} makes the difference"),
        None => line!(
            out,
            "{} make the difference; none of them changes without another:",
            counted(outcome.others.len(), "option")
        ),
    }
    if outcome.culprit.is_some() && !outcome.others.is_empty() {
        out.line("with it change:");
    }
    outcome.others.iter().for_each(|option| line!(out, "  {option}"));
    line!(out, "in {}, {}", outcome.tree, outcome.commit);
    outcome.notes.iter().for_each(|note| line!(out, "note: {note}"));
    heading("what differs across it, A good and B bad:", &mut out);
    out.append(&compare::text(&outcome.across, false));
    out.end();
    for record in outcome.records.iter().collect::<BTreeSet<_>>() {
        line!(out, "run record: {}", record.display());
    }
    heading("how it was found:", &mut out);
    line!(out, "  good  {}", outcome.good.display());
    line!(out, "  bad   {}", outcome.bad.display());
    for step in &outcome.steps {
        let options = counted(step.of, "option");
        line!(out, "  {:4}  {} of {options}: {}", step.mark.word(), step.changed, step.why);
    }
    line!(
        out,
        "  {}, {}, {}, {} skipped; the ends differ in {}",
        counted(outcome.options, "option"),
        counted(outcome.steps.len(), "step"),
        counted(outcome.built, "kernel"),
        outcome.skipped(),
        counted(outcome.cells.len(), "cell")
    );
    out
}

/// `CONFIG_AUDIT (y when good, not set when bad)`
impl fmt::Display for ChangedOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(f, "{} ({} when good, {} when bad)", self.name, words(&self.good), words(&self.bad))
    }
}
