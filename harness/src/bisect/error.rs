//! Why there is nothing to find.

use std::fmt;

use super::commit::CommitWords;
use crate::compare::{BaselineError, NothingInCommon};
use crate::engine::EngineError;
use crate::kbuild::BuildError;
use crate::plan::NotAGlob;
use crate::source::{Commit, GitError, SourceError};

/// One of the two commits between which the other is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The older one.
    Good,
    /// The newer one.
    Bad,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Bad => "bad",
        })
    }
}

/// Why there is nothing to find.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    /// The ends are one.
    #[error("bisect: good and bad are the same commit, {}", .0.short())]
    OneCommit(Commit),
    /// The ends are swapped.
    #[error(
        "bisect: bad, {}, comes before good, {}; whichever of them fails, name the older one --good",
        .bad.short(), .good.short()
    )]
    Backwards {
        /// The good end.
        good: Commit,
        /// The bad end.
        bad: Commit,
    },
    /// They have no history in common.
    #[error(
        "bisect: good, {}, and bad, {}, have no commit in common; a shallow clone gets its history with \
         `git fetch --unshallow`",
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
        /// Which.
        end: End,
        /// Why.
        source: Box<BuildError>,
    },
    /// An end builds, and nothing can be tested on it.
    #[error("prove that the {end} end, {commit}, is {end}: {why}")]
    Boot {
        /// Which.
        end: End,
        /// Its commit.
        commit: Box<CommitWords>,
        /// Why.
        why: String,
    },
    /// The ends do not differ.
    #[error("bisect: there is nothing to find: {0}")]
    Same(String),
    /// What is good branched off from something bad.
    #[error(
        "bisect: the commit from which good and bad branched off, {0}, looks as bad does: something that \
         only the good branch has made it good; name a good revision that comes before the bad one"
    )]
    BadBase(Box<CommitWords>),
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
    /// The tree, or git.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<GitError> for BisectError {
    fn from(error: GitError) -> Self {
        SourceError::from(error).into()
    }
}
