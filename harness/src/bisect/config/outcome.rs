//! The result of a bisection of configurations.

use std::path::PathBuf;

use serde::Serialize;

use super::super::{BisectMark, CommitInfo};
use crate::compare::Comparison;

/// The result of a bisection of configurations.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigBisection {
    /// The tree, as the user named it.
    pub tree: String,
    /// The commit that was built.
    pub commit: CommitInfo,
    /// The file with the good configuration.
    pub good: PathBuf,
    /// The file with the bad configuration.
    pub bad: PathBuf,
    /// The number of options in which the tree's versions of the two differ.
    pub options: usize,
    /// The cells in which the ends differ.
    pub cells: Vec<String>,
    /// Notes for the reader.
    pub notes: Vec<String>,
    /// The configurations that were tested between the ends, in order.
    pub steps: Vec<ConfigStep>,
    /// The number of kernels that were built or found in the cache, ends included.
    pub built: usize,
    /// The option that makes the difference; `None` if several options depend on each other.
    pub culprit: Option<ChangedOption>,
    /// The options that change with it, or all that are left.
    pub others: Vec<ChangedOption>,
    /// The difference across the last change; A is the good side.
    pub across: Comparison,
    /// The records of the runs on both sides of it.
    pub records: [PathBuf; 2],
}

/// An option, and its value on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedOption {
    /// Its name, with `CONFIG_`.
    pub name: String,
    /// Its value as in a `.config`; `None` if it is not set.
    pub good: Option<String>,
    /// The same at the bad end.
    pub bad: Option<String>,
}

/// A configuration that was tested between the ends.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigStep {
    /// The number of options that differ from the good end of that moment.
    pub changed: usize,
    /// The number of options in which the ends of that moment differed.
    pub of: usize,
    /// Its mark.
    pub mark: BisectMark,
    /// The reason for the mark.
    pub why: String,
    /// The run record, if cells ran.
    pub record: Option<PathBuf>,
}

impl ConfigBisection {
    /// The number of configurations that could not be tested.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.steps.iter().filter(|step| step.mark == BisectMark::Skip).count()
    }
}
