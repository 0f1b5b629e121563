//! Drives `git bisect --no-checkout` in perfsec's own repository. The builder checks commits out.

use super::commit::CommitInfo;
use super::ends::BisectMark;
use super::error::BisectError;
use crate::interrupt::Interrupt;
use crate::source::{Commit, Git, GitError, Source, SourceError};

/// A running `git bisect`. Dropping it resets it, so nothing stays in the repository.
pub(super) struct GitBisect<'a> {
    source: &'a Source,
    /// The merge bases of the two ends.
    bases: Vec<Commit>,
}

/// The answer of `git bisect`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GitAnswer {
    /// Test this commit.
    Look {
        /// The commit.
        commit: Commit,
        /// True if it is a merge base of the ends.
        base: bool,
        /// Roughly how many steps are left.
        steps: u32,
    },
    /// The first bad commit.
    First(Commit),
    /// The first bad commit is one of these, and the rest was skipped.
    Skipped(Vec<Commit>),
}

impl<'a> GitBisect<'a> {
    /// The number of commits in `good..bad`.
    ///
    /// # Errors
    ///
    /// Returns an error if `good` and `bad` are not a range to bisect.
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

    /// Starts a bisection. It replaces one that a killed perfsec left behind.
    pub(super) fn begin(
        source: &'a Source,
        good: &Commit,
        bad: &Commit,
    ) -> Result<Self, BisectError> {
        let bases = bases(source, good, bad)?;
        let bases = bases.into_iter().filter(|base| base != good).collect();
        // `git bisect start` fails without a HEAD, which a new repository does not have.
        if source.git().try_ask(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_none() {
            source.git().ask(&["update-ref", "--no-deref", "HEAD", good.as_str()])?;
        }
        let search = Self { source, bases };
        search.run(&["start", "--no-checkout", bad.as_str(), good.as_str(), "--"])?;
        Ok(search)
    }

    /// Reads the answer of `git bisect` to the last mark.
    pub(super) fn next(&self) -> Result<GitAnswer, BisectError> {
        let log = self.log()?;
        let said = |begin: &'static str| {
            log.lines()
                .filter_map(move |line| line.strip_prefix(begin)?.split(']').next()?.parse().ok())
        };
        if let Some(first) = said("# first bad commit: [").next() {
            return Ok(GitAnswer::First(first));
        }
        let possible: Vec<_> = said("# possible first bad commit: [").collect();
        if !possible.is_empty() {
            return Ok(GitAnswer::Skipped(possible));
        }
        let git = self.source.git();
        let name = git.ask(&["rev-parse", "--verify", "BISECT_HEAD"])?;
        let commit: Commit = name.parse().map_err(|_| unexpected(self.source, &name))?;
        let candidates =
            ["rev-list", "--count", "refs/bisect/bad", "--not", "--glob=refs/bisect/good-*"];
        let left: u32 = git.ask(&candidates)?.parse().unwrap_or_default();
        let steps = u32::BITS - left.saturating_sub(1).leading_zeros();
        Ok(GitAnswer::Look { base: self.bases.contains(&commit), commit, steps })
    }

    /// Marks a commit.
    pub(super) fn mark(&self, commit: &Commit, mark: BisectMark) -> Result<(), BisectError> {
        match self.run(&[mark.word(), commit.as_str()]) {
            Err(BisectError::Source(SourceError::Git(GitError::Failed { .. })))
                if mark == BisectMark::Bad && self.bases.contains(commit) =>
            {
                let words = CommitInfo::of(self.source, commit)?;
                Err(BisectError::BadBase(Box::new(words)))
            }
            result => result,
        }
    }

    /// The output of `git bisect log`.
    pub(super) fn log(&self) -> Result<String, BisectError> {
        Ok(self.source.git().ask(&["bisect", "log"])?)
    }

    /// Runs a subcommand. `git bisect` also fails if only skipped commits are left; that is not an
    /// error here.
    fn run(&self, words: &[&str]) -> Result<(), BisectError> {
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

impl Drop for GitBisect<'_> {
    fn drop(&mut self) {
        // An interrupt must not stop this. If it fails, the next `git bisect start` resets first.
        let git = Git::own(self.source.directory(), self.source.lock(), &Interrupt::default());
        let _ = git.ask(&["bisect", "reset"]);
    }
}

fn bases(source: &Source, good: &Commit, bad: &Commit) -> Result<Vec<Commit>, BisectError> {
    let words = ["merge-base", "--all", good.as_str(), bad.as_str()];
    // It fails if there is none.
    let list = source.git().try_ask(&words)?.unwrap_or_default();
    Ok(list.lines().filter_map(|line| line.parse().ok()).collect())
}

fn unexpected(source: &Source, said: &str) -> GitError {
    GitError::Failed {
        words: "rev-parse BISECT_HEAD".to_owned(),
        directory: source.directory().to_owned(),
        said: said.to_owned(),
    }
}
