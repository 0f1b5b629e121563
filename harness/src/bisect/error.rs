//! Errors of a bisection.

use std::fmt;
use std::path::PathBuf;

use super::commit::CommitInfo;
use crate::compare::{BaselineError, NothingInCommon};
use crate::engine::EngineError;
use crate::kbuild::BuildError;
use crate::plan::NotAGlob;
use crate::source::{Commit, GitError, SourceError};

/// An end of the range that is bisected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BisectEnd {
    /// The older one.
    Good,
    /// The newer one.
    Bad,
}

impl fmt::Display for BisectEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Bad => "bad",
        })
    }
}

/// An error of a bisection.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// Both ends are the same commit.
    #[error("bisect: good and bad are the same commit, {}", .0.short())]
    OneCommit(Commit),
    /// The ends are swapped.
    #[error(
        "bisect: bad, {}, comes before good, {}; name the older one --good, whichever one fails",
        .bad.short(), .good.short()
    )]
    Backwards {
        /// The good end.
        good: Commit,
        /// The bad end.
        bad: Commit,
    },
    /// The ends have no common ancestor.
    #[error(
        "bisect: good, {}, and bad, {}, have no commit in common; a shallow clone gets its \
         history with `git fetch --unshallow`",
        .good.short(), .bad.short()
    )]
    Apart {
        /// The good end.
        good: Commit,
        /// The bad end.
        bad: Commit,
    },
    /// An end does not build.
    #[error("prove that the {end} end is {end}")]
    Build {
        /// The end.
        end: BisectEnd,
        /// The build error.
        source: Box<BuildError>,
    },
    /// An end builds, but it cannot be tested.
    #[error("prove that the {end} end, {commit}, is {end}: {why}")]
    Boot {
        /// The end.
        end: BisectEnd,
        /// Its commit.
        commit: Box<CommitInfo>,
        /// The reason.
        why: String,
    },
    /// A configuration at an end builds, but it cannot be tested.
    #[error("prove that the {end} end, {}, is {end}: {why}", .path.display())]
    Config {
        /// The end.
        end: BisectEnd,
        /// The file with the configuration.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The ends do not differ.
    #[error("bisect: there is nothing to find: {0}")]
    Same(String),
    /// The merge base of the ends is bad.
    #[error(
        "bisect: the merge base of good and bad, {0}, is bad: a commit on the good branch fixed \
         it; name a good revision that is an ancestor of the bad one"
    )]
    BadBase(Box<CommitInfo>),
    /// Two runs have no cell in common.
    #[error(transparent)]
    NothingInCommon(#[from] NothingInCommon),
    /// The baseline has no kernel to compare with.
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    /// A name of cells is not a glob.
    #[error(transparent)]
    Name(#[from] NotAGlob),
    /// The engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tree cannot be read, or git failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<GitError> for BisectError {
    fn from(error: GitError) -> Self {
        SourceError::from(error).into()
    }
}
