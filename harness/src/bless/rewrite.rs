//! Rewrites a case file so that it expects what was seen.

use std::collections::BTreeMap;
use std::fmt;

use toml_edit::DocumentMut;

use super::expectations::{self, NewExpectations};
use super::infer::{Explanation, Precedents, infer};
use super::questions;
use crate::case::{Case, Coordinates, Setting};
use crate::counted::counted;
use crate::transcript::Transcript;

/// The case file cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum BlessError {
    /// It no longer parses, so it was changed after perfsec read it.
    #[error("the file changed while its cells ran")]
    Changed(#[from] toml_edit::TomlError),
}

/// The new text of a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blessed {
    /// The text.
    pub text: String,
    /// The number of cells, of those that saw something else than expected, that the questions
    /// in the text explain.
    pub by_questions: usize,
    /// The number of those that have a transcript.
    pub by_transcripts: usize,
    /// True if the old text had lines or questions for some kernels only that the new one lacks.
    pub loses_conditions: bool,
}

impl fmt::Display for Blessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transcripts = || {
            let cells = counted(self.by_transcripts, "cell");
            format!("transcripts for {cells} (no questions explain them)")
        };
        match (self.by_questions, self.by_transcripts) {
            (0, _) => f.write_str(&transcripts()),
            (explained, 0) => write!(f, "questions explain {}", counted(explained, "cell")),
            (explained, _) => {
                write!(f, "questions explain {}, {}", counted(explained, "cell"), transcripts())
            }
        }
    }
}

/// The text of the case file, changed so that cells expect what they saw in this setting. `seen`
/// has the cells that saw something else than expected.
///
/// Questions replace the expectations of all cells that they explain. If they explain only some of
/// the cells, they must make the file shorter than transcripts do.
///
/// # Errors
///
/// If the text of the case does not parse.
pub fn rewrite(
    case: &Case,
    setting: &Setting<'_>,
    seen: &BTreeMap<Coordinates, Transcript>,
    precedents: &Precedents,
) -> Result<Blessed, BlessError> {
    let all = all_cells(case, setting, seen);
    let with_transcripts = with_transcripts(case, seen)?;
    let Some(explanation) = infer(case, setting, &all, precedents) else {
        return Ok(with_transcripts);
    };
    let whole = explanation.explained.len() == all.len();
    let with_questions = with_questions(case, &all, seen, &explanation)?.filter(|it| {
        let shorter = || it.text.lines().count() < with_transcripts.text.lines().count();
        (whole || shorter()) && expects(case, setting, &it.text, &all)
    });
    Ok(with_questions.unwrap_or(with_transcripts))
}

/// The new expectation of each cell: the transcript that it saw. A cell that passed or did not run
/// keeps its expectation.
fn all_cells(
    case: &Case,
    setting: &Setting<'_>,
    seen: &BTreeMap<Coordinates, Transcript>,
) -> BTreeMap<Coordinates, Transcript> {
    let expected = |at| {
        let expected = case.expected(&at, setting).least().transcript().clone();
        (!expected.is_empty()).then_some((at, expected))
    };
    let others = case.axes.coordinates().filter(|at| !seen.contains_key(at));
    let seen = seen.iter().map(|(at, seen)| (at.clone(), seen.clone()));
    seen.chain(others.filter_map(expected)).collect()
}

fn with_transcripts(
    case: &Case,
    seen: &BTreeMap<Coordinates, Transcript>,
) -> Result<Blessed, BlessError> {
    let mut document: DocumentMut = case.text.parse()?;
    let new = seen.iter().map(|(at, seen)| (at, Some(seen))).collect();
    expectations::write(&mut document, case, &new);
    Ok(Blessed {
        text: document.to_string(),
        by_questions: 0,
        by_transcripts: seen.len(),
        loses_conditions: lines_are_lost(case, &new),
    })
}

/// The text with questions; `None` if the file does not write its steps as `[[step]]`.
fn with_questions(
    case: &Case,
    all: &BTreeMap<Coordinates, Transcript>,
    seen: &BTreeMap<Coordinates, Transcript>,
    explanation: &Explanation,
) -> Result<Option<Blessed>, BlessError> {
    let mut document: DocumentMut = case.text.parse()?;
    if questions::write(&mut document, case, &explanation.questions).is_none() {
        return Ok(None);
    }
    let new_expectation = |(at, transcript)| {
        let explained = explanation.explained.contains(at);
        let failed = seen.contains_key(at);
        match case.expect(at) {
            // It says more than one kernel can show.
            Some(expect)
                if !failed && (expect.xfail.is_some() || expect.transcript.is_conditional()) =>
            {
                None
            }
            Some(_) if !failed && !explained => None,
            _ => Some((at, (!explained).then_some(transcript))),
        }
    };
    let new = all.iter().filter_map(new_expectation).collect();
    expectations::write(&mut document, case, &new);
    let by_questions = seen.keys().filter(|at| explanation.explained.contains(*at)).count();
    Ok(Some(Blessed {
        text: document.to_string(),
        by_questions,
        by_transcripts: seen.len() - by_questions,
        loses_conditions: lines_are_lost(case, &new)
            || questions::lose_conditions(case, &explanation.questions),
    }))
}

/// True if a new expectation replaces lines for some kernels only.
fn lines_are_lost(case: &Case, new: &NewExpectations<'_>) -> bool {
    let expects = new.keys().filter_map(|at| case.expect(at));
    expects.into_iter().any(|expect| expect.transcript.is_conditional())
}

/// True if the case with this text expects in each cell what it must.
fn expects(
    case: &Case,
    setting: &Setting<'_>,
    text: &str,
    all: &BTreeMap<Coordinates, Transcript>,
) -> bool {
    case.with_text(text).is_ok_and(|case| {
        all.iter()
            .all(|(at, seen)| case.expected(at, setting).fit(seen, |_| true).transcript() == seen)
    })
}

#[cfg(test)]
mod tests;
