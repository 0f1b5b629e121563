//! Formats commits for display.

use std::fmt;

use serde::Serialize;

use crate::source::{Commit, Source, SourceError};

/// A revision as the user wrote it, and its commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// The name, as the user wrote it.
    pub named: String,
    /// The commit.
    #[serde(flatten)]
    pub words: CommitInfo,
}

impl Revision {
    /// Finds the commit that a name stands for.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none, or if git fails.
    pub fn find(source: &Source, named: &str) -> Result<Self, SourceError> {
        let commit = source.resolve(Some(named), false)?;
        Ok(Self { named: named.to_owned(), words: CommitInfo::of(source, &commit)? })
    }
}

/// Prints the name only if it is not the beginning of the commit id.
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.words.commit.as_str().starts_with(&self.named) {
            write!(f, "{}: ", self.named)?;
        }
        self.words.fmt(f)
    }
}

/// A commit, with the first line of its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommitInfo {
    /// The commit.
    pub commit: Commit,
    /// The first line of its message.
    pub subject: String,
    /// Name and address of the author.
    pub author: String,
    /// Author date, in RFC 3339.
    pub date: String,
}

impl CommitInfo {
    /// Reads them with `git log`.
    ///
    /// # Errors
    ///
    /// Returns an error if git fails.
    pub fn of(source: &Source, commit: &Commit) -> Result<Self, SourceError> {
        let format = "--format=%s%x00%an <%ae>%x00%aI";
        let text = source.git().ask(&["log", "-1", format, commit.as_str()])?;
        let mut parts = text.split('\0').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self { commit: commit.clone(), subject: part(), author: part(), date: part() })
    }
}

/// The form of `Fixes:` tags: `1234567890ab ("subject")`.
impl fmt::Display for CommitInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (\"{}\")", self.commit.short(), self.subject)
    }
}
