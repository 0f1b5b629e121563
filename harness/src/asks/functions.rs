//! `functions.toml`: the questions that kernel functions ask, and conditions that all cases share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::parse::{Names, parse};
use super::question::{Check, Fact, Question};
use crate::case::{
    CaseErrors, Condition, Mistakes, WhenTable, first_line, line_span, read_conditions,
};

/// The lists, and the conditions on the kernel that they and all cases can name.
#[derive(Clone, Debug)]
pub struct Functions {
    lists: BTreeMap<String, FunctionList>,
    conditions: BTreeMap<String, Condition>,
}

/// The questions of one kernel function.
#[derive(Clone, Debug)]
pub struct FunctionList {
    /// The function in the kernel's source, and the document or commit behind the questions.
    pub source: String,
    /// Its decision point in `points.toml`, if that reports about it.
    pub point: Option<String>,
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
}

/// A kernel function.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FunctionTable {
    /// The function in the kernel's source, and the document or commit behind the questions.
    source: String,
    /// Its decision point in points.toml.
    point: Option<String>,
    /// The questions, in the kernel's order and one in each line.
    #[schemars(with = "String")]
    asks: Spanned<String>,
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
        let mut lists = BTreeMap::new();
        for (name, table) in file.function {
            match parse(table.asks.get_ref(), first_line(text, table.asks.span().start), &names) {
                Ok(asks) => {
                    let list = FunctionList { source: table.source, point: table.point, asks };
                    lists.insert(name, list);
                }
                Err(mistake) => mistakes.add(
                    line_span(text, mistake.line),
                    mistake.message,
                    mistake.help.as_deref(),
                ),
            }
        }
        let found = Self { lists, conditions };
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
        let named =
            all.flat_map(|question| &question.guards).filter_map(|guard| match &guard.fact {
                Fact::Condition(name) => Some(name.clone()),
                _ => None,
            });
        named.collect()
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
