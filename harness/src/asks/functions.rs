//! `functions.toml`: the questions that kernel functions ask, and conditions that all cases share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::parse::{Names, parse};
use super::question::{Check, Fact, Guard, Question};
use crate::case::{
    CaseErrors, Condition, Mistakes, WhenTable, first_line, line_span, read_conditions,
};

/// The lists, and the conditions on the kernel that they and all cases can name.
#[derive(Clone, Debug)]
pub struct Functions {
    lists: BTreeMap<String, FunctionList>,
    syscalls: BTreeMap<String, FunctionList>,
    conditions: BTreeMap<String, Condition>,
}

/// The questions of one kernel function.
#[derive(Clone, Debug)]
pub struct FunctionList {
    /// The function in the kernel's source, and the document or commit behind the questions.
    pub source: String,
    /// Its decision point in `points.toml`, if that reports about it.
    pub point: Option<String>,
    /// The reason for its questions that have none of their own, as a clause.
    pub because: Option<String>,
    /// The questions, in the kernel's order.
    pub asks: Vec<Question>,
}

/// Mistakes in `functions.toml`.
pub type FunctionsError = CaseErrors;

/// Questions that kernel functions ask, and conditions that all cases share.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionsFile {
    /// Conditions on the kernel and the machine, by name.
    #[serde(default)]
    when: BTreeMap<String, WhenTable>,
    /// Kernel functions, by the name that `asks` calls.
    #[serde(default)]
    function: BTreeMap<String, FunctionTable>,
    /// Syscalls, by the name of their step: questions that come before those of a case. Our
    /// policies allow them.
    #[serde(default)]
    syscall: BTreeMap<String, FunctionTable>,
}

/// A kernel function.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionTable {
    /// The function in the kernel's source, and the document or commit behind the questions.
    source: String,
    /// Its decision point in points.toml.
    point: Option<String>,
    /// The reason, as a clause, for which the kernel asks.
    because: Option<String>,
    /// The questions, in the kernel's order and one in each line.
    #[schemars(with = "String")]
    asks: Spanned<String>,
}

/// Names of the conditions in guards.
pub(crate) fn guard_conditions<'a>(
    guards: impl IntoIterator<Item = &'a Guard>,
) -> impl Iterator<Item = String> {
    guards.into_iter().filter_map(|guard| match &guard.fact {
        Fact::Condition(name) => Some(name.clone()),
        _ => None,
    })
}

impl Functions {
    /// The lists that are compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in the file, which the project's tests rule out.
    pub fn built_in() -> Result<Self, FunctionsError> {
        Self::read(Path::new("cases/functions.toml"), perfsec_cases::functions())
    }

    /// Reads the lists from the text of a file.
    ///
    /// # Errors
    ///
    /// Every mistake in it.
    pub fn read(path: &Path, text: &str) -> Result<Self, FunctionsError> {
        let mut mistakes = Mistakes::new(path, text);
        let file: FunctionsFile = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                mistakes.toml(&error);
                return Err(CaseErrors(mistakes.all));
            }
        };
        let conditions = read_conditions(file.when, &mut mistakes);
        let functions: Vec<String> = file.function.keys().cloned().collect();
        let condition_names: Vec<&str> = conditions.keys().map(String::as_str).collect();
        let names = Names {
            functions: functions.iter().map(String::as_str).collect(),
            conditions: condition_names,
            tasks: Vec::new(),
            in_function: true,
        };
        let mut read = |table: FunctionTable| {
            let first = first_line(text, table.asks.span().start);
            match parse(table.asks.get_ref(), first, &names) {
                Ok(asks) => {
                    let FunctionTable { source, point, because, .. } = table;
                    Some(FunctionList { source, point, because, asks })
                }
                Err(mistake) => {
                    let span = line_span(text, mistake.line);
                    mistakes.add(span, mistake.message, mistake.help.as_deref());
                    None
                }
            }
        };
        let mut read_all = |tables: BTreeMap<String, FunctionTable>| -> BTreeMap<_, _> {
            tables.into_iter().filter_map(|(name, table)| Some((name, read(table)?))).collect()
        };
        let (lists, syscalls) = (read_all(file.function), read_all(file.syscall));
        let found = Self { lists, syscalls, conditions };
        for (name, list) in &found.lists {
            if found.reached(&list.asks).contains_key(name.as_str()) {
                let at = text.find(name.as_str()).unwrap_or(0);
                mistakes.add(at..at, format!("`{name}` asks itself"), None);
            }
        }
        if mistakes.all.is_empty() { Ok(found) } else { Err(CaseErrors(mistakes.all)) }
    }

    /// The questions of a function.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&FunctionList> {
        self.lists.get(name)
    }

    /// The questions of a syscall that come before those of a case, by the name of its step.
    #[must_use]
    pub fn syscall(&self, step: &str) -> Option<&FunctionList> {
        self.syscalls.get(step)
    }

    /// The names of all functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.keys().map(String::as_str)
    }

    /// The shared conditions, by name.
    #[must_use]
    pub fn conditions(&self) -> &BTreeMap<String, Condition> {
        &self.conditions
    }

    /// Names of the conditions on which these questions depend, those of functions included.
    #[must_use]
    pub fn conditions_of<'a>(
        &'a self,
        asks: impl IntoIterator<Item = &'a Question>,
    ) -> BTreeSet<String> {
        let asks: Vec<_> = asks.into_iter().collect();
        let lists = self.reached(asks.iter().copied());
        let all = asks.into_iter().chain(lists.values().flat_map(|list| &list.asks));
        guard_conditions(all.flat_map(|question| &question.guards)).collect()
    }

    /// The lists of all functions to which these questions lead, by name.
    #[must_use]
    pub fn reached<'a>(
        &'a self,
        asks: impl IntoIterator<Item = &'a Question>,
    ) -> BTreeMap<&'a str, &'a FunctionList> {
        let mut found = BTreeMap::new();
        let mut open: Vec<&str> =
            asks.into_iter().flat_map(|question| called(&question.check)).collect();
        while let Some(name) = open.pop() {
            let Some((name, list)) = self.lists.get_key_value(name) else { continue };
            if found.insert(name.as_str(), list).is_none() {
                open.extend(list.asks.iter().flat_map(|question| called(&question.check)));
            }
        }
        found
    }
}

/// The functions that a check calls.
fn called(check: &Check) -> Vec<&str> {
    match check {
        Check::Function { name, .. } => vec![name],
        Check::Either(checks) | Check::Both(checks) => checks.iter().flat_map(called).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::Step;
    use rstest::rstest;

    use super::*;
    use crate::asks::Evaluation;
    use crate::case::{Circumstances, Library, Setting};
    use crate::kernel::KernelVersion;
    use crate::transcript::{CallResult, TranscriptCall};

    /// Cases for which the list, or the model of their processes, does not have everything.
    const EXCEPTIONS: [(&str, &str); 10] = [
        ("target/yama", YAMA),
        ("target/yama-scope-1", YAMA),
        ("target/yama-scope-2", YAMA),
        ("creds/every-capability", LEVEL),
        ("creds/own-namespace", LEVEL),
        ("creds/permitted-not-effective", LEVEL),
        ("creds/uid-0-alone", LEVEL),
        ("creds/attach-changed-target", "execve() of another process is not modelled"),
        ("creds/first-process", "the agent is undumpable"),
        ("creds/namespace-owner-ids", "the effective uid owns a user namespace"),
    ];
    const YAMA: &str = "ptrace_scope makes Yama check CAP_SYS_PTRACE once more";
    const LEVEL: &str = "the agent changes perf_event_paranoid in the middle";

    /// The lines of the step that begins in this line of the case file, if it is performed.
    fn call(evaluation: &Evaluation, line: usize) -> Option<TranscriptCall> {
        let at = evaluation.transcript.calls.iter().position(|call| call.line == line)?;
        Some(evaluation.transcript.least().transcript().calls[at].clone())
    }

    /// The list of `perf_event_open()` asks what each case asks, in every cell: the same lines in
    /// the same order. A call that fails for another reason makes the first of these checks.
    #[rstest]
    #[case((5, 10, 262))]
    #[case((6, 1, 192))]
    #[case((6, 12, 117))]
    #[case((7, 3, 4))]
    fn the_list_of_perf_event_open_asks_what_every_case_asks(#[case] version: (u32, u32, u32)) {
        let version = KernelVersion::new(version.0, version.1, version.2);
        let kernel = Circumstances::hypothetical(version, Some("debian"));
        let setting = Setting::from(kernel);
        let (mut compared, mut differing) = (0, BTreeMap::<&str, String>::new());
        let library = Library::built_in().unwrap();
        for case in library.cases.iter().filter(|case| case.unmet_requirement(&kernel).is_none()) {
            let Some(questions) = &case.questions else { continue };
            for (index, asked) in questions.iter().enumerate() {
                if !matches!(case.steps[index], Step::PerfEventOpen(_)) {
                    continue;
                }
                // One at a time: a later step sees what permissive mode has cached.
                let mut replaced = questions.clone();
                replaced[index] = asked.with_function("perf_event_open");
                let mut listed = case.clone();
                listed.questions = Some(replaced);
                for at in case.axes.coordinates() {
                    let own = case.evaluation(&at, &setting);
                    let full = listed.evaluation(&at, &setting);
                    let of = |found: Option<Evaluation>| call(&found?, asked.line);
                    let (Some(own), Some(full)) = (of(own), of(full)) else { continue };
                    let other_error = matches!(own.head.result(), Some(CallResult::Error(errno))
                        if !errno.is_denial());
                    let same = match other_error || !asked.returns.is_empty() {
                        true => full.effects.starts_with(&own.effects),
                        false => full == own,
                    };
                    compared += 1;
                    if !same {
                        differing.insert(&case.name, format!("{at}: {full:?}, not {own:?}"));
                    }
                }
            }
        }
        assert!(compared > 2_500, "{compared}");
        for (name, _) in EXCEPTIONS {
            let known = library.cases.iter().find(|case| case.name == name).unwrap();
            let met = known.unmet_requirement(&kernel).is_none();
            assert_eq!(differing.remove(name).is_some(), met, "{name} is no exception");
        }
        assert_eq!(differing, BTreeMap::new());
    }
}
