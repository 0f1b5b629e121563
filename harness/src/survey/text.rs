//! Prints a survey for a terminal.

use anstyle::{AnsiColor, Style};

use super::compute::groups;
use super::outcome::{Outcome, Survey};
use crate::counted::counted;
use crate::text::{Text, line};

const ALLOWED: Style = AnsiColor::Green.on_default();
const REFUSED: Style = AnsiColor::Red.on_default();

/// Contexts of a group that are named in full.
const NAMED: usize = 12;

/// The survey as a person reads it: domains with the same outcomes together.
#[must_use]
pub fn text(survey: &Survey) -> Text {
    let mut text = Text::new();
    line!(text, "{}", survey.policy);
    line!(text, "on {}", survey.kernel);
    for words in &survey.undefined {
        line!(text, "{words}");
    }
    let domains = counted(survey.rows.len(), "domain");
    line!(
        text,
        "{domains} can use perf or BPF; the cells of {} ran and agree",
        survey.confirmed.len()
    );
    for (contexts, outcomes) in groups(&survey.rows) {
        line!(text);
        for context in contexts.iter().take(NAMED) {
            line!(text, "{context}");
        }
        if contexts.len() > NAMED {
            line!(text, "and {} more, which --format json lists", contexts.len() - NAMED);
        }
        let mut operation = None;
        for (column, outcome) in survey.columns.iter().zip(outcomes) {
            if operation != Some((&column.operation, column.level)) {
                operation = Some((&column.operation, column.level));
                line!(text, "  {} (level {})", column.operation, column.level);
            }
            let (style, word) = match outcome {
                Outcome::Allowed { .. } => (ALLOWED, "yes"),
                Outcome::Refused { .. } => (REFUSED, "no "),
            };
            text.span(format_args!("    {:<22} ", column.grant));
            text.paint(style, word).line(format_args!("  {}", reason(outcome)));
            for record in outcome.logged() {
                line!(text, "      {record}");
            }
        }
    }
    text
}

/// The reason for an outcome, in words.
pub(super) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Allowed { by, logged } if logged.is_empty() => format!("by {by}"),
        Outcome::Allowed { by, .. } => format!("by {by}, but logged:"),
        Outcome::Refused { by, errno, logged } if logged.is_empty() => {
            format!("{errno}: {by}; nothing is logged")
        }
        Outcome::Refused { by, errno, .. } => format!("{errno}: {by}"),
    }
}
