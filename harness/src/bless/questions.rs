//! Rewrites the questions of the steps of a case file.

use toml_edit::{DocumentMut, Item, Table};

use super::expectations::literal;
use crate::asks::{Fact, Question, StepQuestions};
use crate::case::Case;

/// Gives the steps these questions. A step whose questions are the same keeps its text.
///
/// Returns `None` if the steps are not `[[step]]` tables.
pub(super) fn write(
    document: &mut DocumentMut,
    case: &Case,
    questions: &[StepQuestions],
) -> Option<()> {
    let steps = document.get_mut("step")?.as_array_of_tables_mut()?;
    for (number, (table, new)) in steps.iter_mut().zip(questions).enumerate() {
        let old = case.questions.as_ref().map(|all| &all[number]);
        if old.is_some_and(|old| old.asks_same(new)) {
            continue;
        }
        let lines: Vec<_> = new.asks.iter().map(|question| line(case, old, question)).collect();
        match asks(&lines) {
            Some(asks) => drop(table.insert("asks", asks)),
            None => drop(table.remove("asks")),
        }
        let returns: Vec<_> = new.returns.iter().map(ToString::to_string).collect();
        match returns.is_empty() {
            false => drop(table.insert("returns", returns.join("\n").into())),
            true => drop(table.remove("returns")),
        }
    }
    let lists = |table: &Table| table.contains_key("asks") || table.contains_key("returns");
    if !steps.iter().any(lists) {
        // The mark of a case whose expectations are computed.
        steps.get_mut(0)?.insert("asks", "".into());
    }
    Some(())
}

/// True if new questions lack conditions on the kernel that the old ones have: one kernel cannot
/// show them.
pub(super) fn lose_conditions(case: &Case, new: &[StepQuestions]) -> bool {
    let conditions = |asks: &[Question]| -> usize {
        let guards = asks.iter().flat_map(|question| &question.guards);
        guards.filter(|guard| matches!(guard.fact, Fact::Condition(_))).count()
    };
    let old = case.questions.iter().flatten();
    old.zip(new).any(|(old, new)| conditions(&new.asks) < conditions(&old.asks))
}

/// The line of a question: the one in the file, with its comment, if it is there already.
fn line(case: &Case, old: Option<&StepQuestions>, question: &Question) -> String {
    let present = old.and_then(|old| old.asks.iter().find(|known| known.is_same(question)));
    let line = present.and_then(|known| case.text.lines().nth(known.line.checked_sub(1)?));
    // A list of one question may be in the line of its key.
    let line = line.map(str::trim).filter(|line| !line.starts_with("asks"));
    line.map_or_else(|| question.to_string(), str::to_owned)
}

fn asks(lines: &[String]) -> Option<Item> {
    match lines {
        [] => None,
        [one] if !one.contains(['"', '\'', '\\', '#']) => Some(one.as_str().into()),
        lines => Some(literal(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())),
    }
}
