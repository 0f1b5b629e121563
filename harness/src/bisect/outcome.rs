//! The result of a bisection.

use std::path::PathBuf;

use serde::Serialize;

use super::commit::{CommitInfo, Revision};
use super::ends::BisectMark;
use crate::compare::Comparison;
use crate::record::{LaneStarted, RunStarted};

/// The result of a bisection.
#[derive(Clone, Debug, Serialize)]
pub struct Bisection {
    /// The tree, as the user named it.
    pub tree: String,
    /// The good end.
    pub good: Revision,
    /// The bad end.
    pub bad: Revision,
    /// The number of commits in `good..bad`.
    pub commits: usize,
    /// The cells in which the ends differ.
    pub cells: Vec<String>,
    /// Notes for the reader.
    pub notes: Vec<String>,
    /// The commits that were tested between the ends, in order.
    pub steps: Vec<BisectStep>,
    /// The number of commits whose kernel was built or found in the cache, ends included.
    pub built: usize,
    /// The first bad commit, or the remaining range.
    pub found: Culprit,
    /// The change by the first bad commit, or else between the ends; A is the older side.
    pub across: Comparison,
    /// The command and the cells of the run of the bad end.
    #[serde(skip)]
    pub run: RunStarted,
    /// The lane of B.
    #[serde(skip)]
    pub lane: Option<LaneStarted>,
    /// The output of `git bisect log`, for `git bisect replay`.
    pub log: String,
}

/// A commit that was tested between the ends.
#[derive(Clone, Debug, Serialize)]
pub struct BisectStep {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitInfo,
    /// Its mark.
    pub mark: BisectMark,
    /// The reason for the mark.
    pub why: String,
    /// The run record, if cells ran.
    pub record: Option<PathBuf>,
}

/// The finding of a bisection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Culprit {
    /// The first bad commit.
    First {
        /// The commit.
        commit: CommitInfo,
        /// Cells in which the ends differ and that another commit changed.
        elsewhere: Vec<String>,
        /// The records of the runs before it and at it.
        records: [PathBuf; 2],
    },
    /// One of these commits is the first bad one; the others could not be tested.
    Skipped {
        /// The commits, newest first.
        commits: Vec<CommitInfo>,
    },
}

impl Bisection {
    /// The value of `#regzbot introduced:`, a commit or a range.
    #[must_use]
    pub fn introduced(&self) -> String {
        match &self.found {
            Culprit::First { commit, .. } => commit.commit.to_string(),
            Culprit::Skipped { commits } => {
                let last = commits.first().unwrap_or(&self.bad.words);
                format!("{}..{}", self.good.words.commit, last.commit)
            }
        }
    }

    /// The number of commits that were skipped.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.steps.iter().filter(|step| step.mark == BisectMark::Skip).count()
    }
}
