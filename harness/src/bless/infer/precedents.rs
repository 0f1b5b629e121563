//! The questions that cases ask already.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::Step;

use crate::asks::{Check, Fact, Guard, Namespace, StepQuestions, Target};
use crate::case::Case;

/// The questions of existing cases, by the syscall of the step.
///
/// A transcript does not tell everything: many functions begin with the same check, and some
/// refusals leave no line.
#[derive(Clone, Debug, Default)]
pub struct Precedents {
    syscalls: BTreeMap<String, Asked>,
}

/// The questions of the steps of one syscall.
#[derive(Clone, Debug, Default)]
struct Asked {
    /// The functions that the questions lead to.
    functions: BTreeSet<String>,
    /// SELinux checks that refer to no part of a case.
    permissions: Vec<Check>,
    /// The questions of each step, with its words.
    lists: Vec<(BTreeSet<String>, StepQuestions)>,
}

impl Precedents {
    /// The precedents that these cases set.
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Self {
        let mut precedents = Self::default();
        for case in cases {
            for (step, questions) in case.steps.iter().zip(case.questions.iter().flatten()) {
                let asked = precedents.syscalls.entry(step.name().to_owned()).or_default();
                let reached = case.functions().reached(&questions.asks);
                asked.functions.extend(reached.into_keys().map(str::to_owned));
                asked.lists.push((words(step), StepQuestions { line: 0, ..questions.clone() }));
                for question in &questions.asks {
                    let general = matches!(
                        &question.check,
                        Check::Selinux(check) if !matches!(check.target, Target::Task(_))
                    );
                    if general && !asked.permissions.contains(&question.check) {
                        asked.permissions.push(question.check.clone());
                    }
                }
            }
        }
        precedents
    }

    /// The functions that the syscall of this step is known to lead to; `None` if no case has it.
    pub(super) fn functions(&self, step: &Step) -> Option<&BTreeSet<String>> {
        self.syscalls.get(step.name()).map(|known| &known.functions)
    }

    /// The SELinux checks that this step may make.
    pub(super) fn permissions(&self, step: &Step) -> &[Check] {
        self.syscalls.get(step.name()).map_or(&[], |known| &known.permissions)
    }

    /// The lists of questions that this step of a case may ask: those of the most similar steps
    /// first.
    pub(super) fn lists(&self, step: &Step, case: &Case, tasks: &[&str]) -> Vec<&StepQuestions> {
        let Some(known) = self.syscalls.get(step.name()) else { return Vec::new() };
        let shared = case.functions().conditions();
        // A condition of another case may be anything.
        let condition = |guard: &Guard| match &guard.fact {
            Fact::Condition(name) => Some(shared.contains_key(name)),
            _ => None,
        };
        let target = |target: &Target| match target {
            Target::Task(name) => tasks.contains(&name.as_str()),
            Target::Agent => !case.given.is_empty(),
            Target::Type(name) => case.text.contains(name),
            Target::Own | Target::Argument => true,
        };
        let valid = |list: &StepQuestions| {
            list.asks.iter().all(|question| {
                question.guards.iter().filter_map(condition).all(|valid| valid)
                    && targets(&question.check).into_iter().all(target)
            })
        };
        let conditions = |list: &StepQuestions| -> usize {
            let guards = list.asks.iter().flat_map(|question| &question.guards);
            guards.filter_map(condition).count()
        };
        let own = words(step);
        let mut lists: Vec<_> = known.lists.iter().filter(|(_, list)| valid(list)).collect();
        // One kernel does not show that a condition on kernels matters to this step.
        lists.sort_by_key(|(words, list)| {
            (conditions(list), own.symmetric_difference(words).count())
        });
        let mut distinct: Vec<&StepQuestions> = Vec::new();
        for (_, list) in lists {
            if !distinct.iter().any(|known| known.asks_same(list)) {
                distinct.push(list);
            }
        }
        distinct
    }
}

/// The arguments of a step, as far as they compare.
fn words(step: &Step) -> BTreeSet<String> {
    step.to_string().split(['(', ',', ')', ' ']).map(str::to_owned).collect()
}

/// The targets that a check names.
fn targets(check: &Check) -> Vec<&Target> {
    match check {
        Check::Either(checks) | Check::Both(checks) => checks.iter().flat_map(targets).collect(),
        Check::Selinux(check) => vec![&check.target],
        Check::Function { target, .. } => target.iter().collect(),
        Check::Capable { namespace: Namespace::Of(target), .. } => vec![target],
        _ => Vec::new(),
    }
}
