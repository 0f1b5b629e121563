//! Infers the questions of a case from what its cells saw.
//!
//! Each guess is judged by the evaluator: a list grows by one question at a time, and a question
//! stays only if no cell computes anything that it did not see.

mod catalogue;
mod evidence;
mod guesses;
mod precedents;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::asks::StepQuestions;
use crate::case::{Case, Coordinates, Setting};
use crate::transcript::Transcript;
use evidence::Evidence;
pub use precedents::Precedents;
use search::{Found, Search};

/// Cells that may contradict the others are given up in at most this many rounds.
const ROUNDS: usize = 4;

/// Questions, and the cells whose transcripts they explain.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The questions of each step.
    pub questions: Vec<StepQuestions>,
    /// The cells that compute exactly what they saw.
    pub explained: BTreeSet<Coordinates>,
}

/// Infers questions that explain what the cells of a case saw, if any explain most of them.
///
/// Steps whose present questions explain what was seen keep them.
#[must_use]
pub fn infer(
    case: &Case,
    setting: &Setting<'_>,
    seen: &BTreeMap<Coordinates, Transcript>,
    precedents: &Precedents,
) -> Option<Explanation> {
    let mut evidence = Evidence::new(case, setting, seen);
    for _ in 0..ROUNDS {
        if evidence.cells.len() * 2 <= seen.len() {
            return None;
        }
        match Search::new(&evidence, precedents).run() {
            Found::Questions(questions) => {
                let explained = prove(case, setting, &questions, seen);
                return Some(Explanation { questions, explained });
            }
            Found::Contradiction(cells) if cells.is_empty() => return None,
            Found::Contradiction(cells) => evidence.give_up(&cells),
        }
    }
    None
}

/// The cells in which these questions compute exactly what was seen.
fn prove(
    case: &Case,
    setting: &Setting<'_>,
    questions: &[StepQuestions],
    seen: &BTreeMap<Coordinates, Transcript>,
) -> BTreeSet<Coordinates> {
    let same = |(at, seen): &(&Coordinates, &Transcript)| {
        let computed = case.evaluation_with(questions, at, setting).transcript;
        computed.fit(seen, |_| true).transcript() == *seen
    };
    seen.iter().filter(same).map(|(at, _)| at.clone()).collect()
}
