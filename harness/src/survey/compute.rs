//! Computes the outcomes of operations from the answers of a policy.

use std::collections::BTreeMap;

use super::operation::Operations;
use super::outcome::{Column, Outcome, Row};
use crate::asks::{CheckedThing, Evaluation, MadeCheck};
use crate::case::{Library, Setting};
use crate::grant::cap_name;
use crate::transcript::{CallResult, Effect};

/// The columns, and a row for each context. The operations' cases are in `library`; the setting has
/// the answers about the contexts.
#[must_use]
pub fn rows(
    operations: &Operations,
    library: &Library,
    contexts: &[String],
    setting: &Setting<'_>,
) -> (Vec<Column>, Vec<Row>) {
    let mut columns = Vec::new();
    let mut rows: Vec<Row> = contexts
        .iter()
        .map(|context| Row { context: context.clone(), outcomes: Vec::new() })
        .collect();
    for operation in &operations.all {
        let Some(case) = operation.case(library) else { continue };
        for at in operation.cells(case, "") {
            columns.push(Column {
                operation: operation.name.clone(),
                case: case.name.clone(),
                level: operation.level,
                grant: at.grant.to_string(),
            });
        }
        for row in &mut rows {
            let case = case.placed_in(&row.context);
            let cells = operation.cells(&case, &row.context).into_iter();
            let found = cells.filter_map(|at| case.evaluation(&at, setting));
            row.outcomes.extend(found.map(|evaluation| outcome(&evaluation)));
        }
    }
    (columns, rows)
}

/// Contexts with the same outcomes, those of the largest group first.
#[must_use]
pub fn groups<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<(Vec<&'a str>, &'a [Outcome])> {
    let mut groups: BTreeMap<&[Outcome], Vec<&str>> = BTreeMap::new();
    for row in rows {
        groups.entry(&row.outcomes).or_default().push(&row.context);
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(key, contexts)| (contexts, key)).collect();
    groups.sort_by_key(|(contexts, _)| (std::cmp::Reverse(contexts.len()), contexts.clone()));
    groups
}

fn outcome(evaluation: &Evaluation) -> Outcome {
    let mut logged = Vec::new();
    let mut decisive = None;
    for (call, checks) in evaluation.transcript.calls.iter().zip(&evaluation.checks) {
        let effects = call.effects.iter().flat_map(|all| &all.effects);
        let records = effects.filter_map(|effect| match effect {
            Effect::Avc(avc) => Some(avc.to_string()),
            _ => None,
        });
        logged.extend(records);
        logged.dedup();
        if let Some(at) = checks.refusing {
            let errno = match call.head.result() {
                Some(CallResult::Error(errno)) => errno.to_string(),
                _ => "nothing".to_owned(),
            };
            let by = checks.made.get(at).map(words).unwrap_or_default();
            return Outcome::Refused { by, errno, logged };
        }
        let granted = checks.made.iter().rev().find(|check| check.passes && is_capability(check));
        decisive = granted.map(words).or(decisive);
    }
    Outcome::Allowed { by: decisive.unwrap_or_else(|| "no capability".to_owned()), logged }
}

fn is_capability(check: &MadeCheck) -> bool {
    matches!(check.about, CheckedThing::Capability { .. })
}

/// A check in words.
fn words(check: &MadeCheck) -> String {
    match &check.about {
        CheckedThing::Capability { cap, held: false, .. } => {
            format!("{} is not held", cap_name(*cap))
        }
        CheckedThing::Capability { cap, class, .. } => format!("{class} {{ {} }}", cap_name(*cap)),
        CheckedThing::Permissions { class, permissions, .. } => {
            format!("{class} {{ {} }}", permissions.join(" "))
        }
    }
}
