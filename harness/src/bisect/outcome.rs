//! What came of a search, as data.

use std::path::PathBuf;

use serde::Serialize;

use super::commit::{CommitWords, Revision};
use super::ends::Mark;
use crate::compare::Comparison;
use crate::record::{LaneStarted, RunStarted};

/// What came of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The tree, as the user named it.
    pub tree: String,
    /// The good end.
    pub good: Revision,
    /// The bad end.
    pub bad: Revision,
    /// How many commits the bad end has that the good one lacks.
    pub commits: usize,
    /// The cells by which the ends were told from each other.
    pub cells: Vec<String>,
    /// What else is to be known of them.
    pub notes: Vec<String>,
    /// What was looked at between the ends, in that order.
    pub steps: Vec<Step>,
    /// How many commits were built, or found built, ends included.
    pub built: usize,
    /// What was found.
    pub found: Found,
    /// What changed: with the first bad commit, or else between the ends. A comes before B.
    pub across: Comparison,
    /// How the cells that were asked for ran on the bad end.
    #[serde(skip)]
    pub run: RunStarted,
    /// What B is, and what ran it.
    #[serde(skip)]
    pub lane: Option<LaneStarted>,
    /// The log, as `git bisect replay` takes it.
    pub log: String,
}

/// A look at a commit.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Which.
    #[serde(flatten)]
    pub commit: CommitWords,
    /// What git was told.
    pub mark: Mark,
    /// Why.
    pub why: String,
    /// The record of what ran.
    pub record: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Found {
    /// The first bad commit.
    First {
        /// It.
        commit: CommitWords,
        /// Cells in which the ends differ, and it does not from the one before it.
        elsewhere: Vec<String>,
        /// The records of the two runs, before it and at it.
        records: [PathBuf; 2],
    },
    /// Some commits, the newest first, one of which is the first bad one; which one cannot be told.
    Skipped {
        /// They.
        commits: Vec<CommitWords>,
    },
}

impl Outcome {
    /// What the regression tracking bot is told: a commit, or a range.
    #[must_use]
    pub fn introduced(&self) -> String {
        match &self.found {
            Found::First { commit, .. } => commit.commit.to_string(),
            Found::Skipped { commits } => {
                let last = commits.first().unwrap_or(&self.bad.words);
                format!("{}..{}", self.good.words.commit, last.commit)
            }
        }
    }

    /// How many commits were skipped.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.steps.iter().filter(|step| step.mark == Mark::Skip).count()
    }
}
