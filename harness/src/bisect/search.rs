//! Drives `git bisect` in perfsec's own repository, where nothing but its answers is wanted: commits are
//! checked out to be built, and not by it.

use super::commit::CommitWords;
use super::ends::Mark;
use super::error::BisectError;
use crate::interrupt::Interrupt;
use crate::source::{Commit, Git, GitError, Source, SourceError};

/// A bisection that goes on. When it is dropped, nothing of it stays in the repository.
pub(super) struct Search<'a> {
    source: &'a Source,
    /// Where the two ends branched off from each other.
    bases: Vec<Commit>,
}

/// What `git bisect` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It wants to know of this commit.
    Look {
        /// Which.
        commit: Commit,
        /// Whether it is one from which the ends branched off.
        base: bool,
        /// About how many are to come.
        steps: u32,
    },
    /// It is over.
    First(Commit),
    /// It is over, and one of these it is.
    Skipped(Vec<Commit>),
}

impl<'a> Search<'a> {
    /// How many commits the bad end has that the good one lacks.
    ///
    /// # Errors
    ///
    /// When that is no way from one to the other.
    pub(super) fn commits(
        source: &Source,
        good: &Commit,
        bad: &Commit,
    ) -> Result<usize, BisectError> {
        if good == bad {
            return Err(BisectError::OneCommit(good.clone()));
        }
        let bases = bases(source, good, bad)?;
        if bases.is_empty() {
            return Err(BisectError::Apart { good: good.clone(), bad: bad.clone() });
        }
        if bases.contains(bad) {
            return Err(BisectError::Backwards { good: good.clone(), bad: bad.clone() });
        }
        Ok(source.between(good, bad)?.len())
    }

    /// Begins one, whatever a perfsec that was killed left of another.
    pub(super) fn begin(
        source: &'a Source,
        good: &Commit,
        bad: &Commit,
    ) -> Result<Self, BisectError> {
        let bases = bases(source, good, bad)?;
        let bases = bases.into_iter().filter(|base| base != good).collect();
        // In a repository that never had a checkout git would not begin.
        if source.git().try_ask(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_none() {
            source.git().ask(&["update-ref", "--no-deref", "HEAD", good.as_str()])?;
        }
        let search = Self { source, bases };
        search.tell(&["start", "--no-checkout", bad.as_str(), good.as_str(), "--"])?;
        Ok(search)
    }

    /// What it wants to know.
    pub(super) fn next(&self) -> Result<Next, BisectError> {
        let log = self.log()?;
        let said = |begin: &'static str| {
            log.lines()
                .filter_map(move |line| line.strip_prefix(begin)?.split(']').next()?.parse().ok())
        };
        if let Some(first) = said("# first bad commit: [").next() {
            return Ok(Next::First(first));
        }
        let possible: Vec<_> = said("# possible first bad commit: [").collect();
        if !possible.is_empty() {
            return Ok(Next::Skipped(possible));
        }
        let git = self.source.git();
        let name = git.ask(&["rev-parse", "--verify", "BISECT_HEAD"])?;
        let commit: Commit = name.parse().map_err(|_| unexpected(self.source, &name))?;
        let candidates =
            ["rev-list", "--count", "refs/bisect/bad", "--not", "--glob=refs/bisect/good-*"];
        let left: u32 = git.ask(&candidates)?.parse().unwrap_or_default();
        let steps = u32::BITS - left.saturating_sub(1).leading_zeros();
        Ok(Next::Look { base: self.bases.contains(&commit), commit, steps })
    }

    /// Answers it.
    pub(super) fn mark(&self, commit: &Commit, mark: Mark) -> Result<(), BisectError> {
        match self.tell(&[mark.word(), commit.as_str()]) {
            Err(BisectError::Source(SourceError::Git(GitError::Failed { .. })))
                if mark == Mark::Bad && self.bases.contains(commit) =>
            {
                let words = CommitWords::of(self.source, commit)?;
                Err(BisectError::BadBase(Box::new(words)))
            }
            told => told,
        }
    }

    /// All that was said so far, as `git bisect replay` takes it.
    pub(super) fn log(&self) -> Result<String, BisectError> {
        Ok(self.source.git().ask(&["bisect", "log"])?)
    }

    /// `git bisect` fails when only skipped commits are left, too.
    fn tell(&self, words: &[&str]) -> Result<(), BisectError> {
        match self.source.git().ask(&[&["bisect"], words].concat()) {
            Ok(_) => Ok(()),
            Err(error @ GitError::Failed { .. }) => {
                let log = self.source.git().try_ask(&["bisect", "log"])?.unwrap_or_default();
                let over = log.contains("# only skipped commits left to test");
                if over { Ok(()) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        // After an interrupt, too. Should it fail, the next one begins with doing it.
        let git = Git::own(self.source.directory(), self.source.lock(), &Interrupt::default());
        let _ = git.ask(&["bisect", "reset"]);
    }
}

fn bases(source: &Source, good: &Commit, bad: &Commit) -> Result<Vec<Commit>, BisectError> {
    let words = ["merge-base", "--all", good.as_str(), bad.as_str()];
    // It answers no when there is none.
    let list = source.git().try_ask(&words)?.unwrap_or_default();
    Ok(list.lines().filter_map(|line| line.parse().ok()).collect())
}

fn unexpected(source: &Source, said: &str) -> GitError {
    GitError::Failed {
        words: "rev-parse BISECT_HEAD".to_owned(),
        directory: source.directory().to_owned(),
        said: crate::printable::printable_line(said),
    }
}
