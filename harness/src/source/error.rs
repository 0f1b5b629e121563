//! Errors of kernel trees and patches.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::git::GitError;
use super::unpack::UnpackError;
use crate::cache::CacheError;
use crate::debian::DebianError;

/// A kernel tree, or a revision of it, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The tree cannot be read.
    #[error("read the kernel tree {}", .path.display())]
    Read {
        /// As given by the user.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Neither the whole name nor the part before its `@` exists.
    #[error(
        "read the kernel tree {whole}: neither it nor {}, with {revision} as a revision, exists",
        .path.display()
    )]
    NoTree {
        /// As given by the user.
        whole: String,
        /// The part before `@`.
        path: PathBuf,
        /// The part after `@`.
        revision: String,
    },
    /// Something else than a kernel tree.
    #[error("use {} as a kernel tree: {why}", .path.display())]
    NotATree {
        /// As given by the user.
        path: PathBuf,
        /// The reason, as a clause.
        why: String,
    },
    /// Not a valid git repository, or one that git does not trust.
    #[error("use {} as a git repository: {said}", .path.display())]
    Refused {
        /// As given by the user.
        path: PathBuf,
        /// git's message.
        said: String,
    },
    /// No such commit.
    #[error("find revision {revision:?} in {}: {said}", .path.display())]
    NoRevision {
        /// As given by the user.
        revision: String,
        /// The tree.
        path: PathBuf,
        /// git's message, or the reason.
        said: String,
    },
    /// Some objects of the repository were never fetched.
    #[error(
        "read all of {}: {said}; it is a partial clone, and \
         `git -C {} fetch --refetch --no-filter` fetches the missing objects",
        .path.display(), quoted(.path)
    )]
    Partial {
        /// The tree.
        path: PathBuf,
        /// git's message.
        said: String,
    },
    /// The tree has uncommitted changes.
    #[error(
        "build {}: {changed} not committed; commit them, name a revision ({}@HEAD), or include \
         them with --dirty",
        .path.display(), .path.display()
    )]
    Dirty {
        /// The tree.
        path: PathBuf,
        /// Number of changed files with its verb, such as `changes of 2 files are`.
        changed: String,
    },
    /// Debian's archive failed.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The cache directory failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Quotes a path for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| "''".to_owned(), |quoted| quoted.into_owned())
}

/// A patch that does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// File and expected line of each hunk that does not apply.
    pub hunks: Vec<(String, usize)>,
    /// git's message.
    pub said: String,
}

impl ApplyError {
    /// Parses the messages of `git am`.
    pub(super) fn parse(said: &str) -> Self {
        let hunk = |line: &str| {
            let location = line.strip_prefix("error: patch failed: ")?;
            let (file, line) = location.rsplit_once(':')?;
            Some((file.to_owned(), line.parse().ok()?))
        };
        let hunks = said.lines().filter_map(hunk).collect();
        // Drop the hints, which are about a repository that the user never sees.
        let words =
            said.lines().filter(|line| line.starts_with("error: ") || line.starts_with("fatal: "));
        let words: Vec<_> = words.collect();
        Self { hunks, said: if words.is_empty() { said.to_owned() } else { words.join("\n") } }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hunks: Vec<_> =
            self.hunks.iter().map(|(file, line)| format!("{file}:{line}")).collect();
        match hunks.as_slice() {
            [] => f.write_str(&self.said),
            [hunk] => write!(f, "the hunk for {hunk} does not apply"),
            hunks => write!(f, "the hunks for {} do not apply", hunks.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunk_that_does_not_apply_is_named() {
        let said = "Applying: perf: a\nerror: patch failed: kernel/events/core.c:12\n\
                    error: kernel/events/core.c: patch does not apply\n\
                    Patch failed at 0001 perf: a\nhint: Use 'git am --show-current-patch'";
        let error = ApplyError::parse(said);
        assert_eq!(error.hunks, [("kernel/events/core.c".to_owned(), 12)]);
        assert_eq!(error.to_string(), "the hunk for kernel/events/core.c:12 does not apply");
        assert!(!error.said.contains("hint"), "{}", error.said);
    }

    #[test]
    fn any_other_failure_is_reported_with_the_message_of_git() {
        let error = ApplyError::parse("Patch format detection failed.");
        assert_eq!(error.to_string(), "Patch format detection failed.");
    }
}
