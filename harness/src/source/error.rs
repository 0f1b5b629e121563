//! Why a kernel tree is of no use.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::git::GitError;
use super::unpack::UnpackError;
use crate::cache::CacheError;
use crate::kernel::DebianError;
use crate::printable::printable_line;

/// Why a kernel tree, or a revision of it, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("read the kernel tree {}", .path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not there, however its name is read.
    #[error(
        "read the kernel tree {whole}: there is neither that nor {}, of which {revision} could be a revision",
        .path.display()
    )]
    NoTree {
        /// As given.
        whole: String,
        /// What is before its `@`.
        path: PathBuf,
        /// What is after it.
        revision: String,
    },
    /// It holds something else.
    #[error("use {} as a kernel tree: {why}", .path.display())]
    NotATree {
        /// As given.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// git does not take it for a repository, or for one that this user may trust.
    #[error("use {} as a git repository: {said}", .path.display())]
    Refused {
        /// As given.
        path: PathBuf,
        /// Its own words.
        said: String,
    },
    /// There is no such commit.
    #[error("find revision {revision:?} in {}: {said}", .path.display())]
    NoRevision {
        /// As given.
        revision: String,
        /// The tree.
        path: PathBuf,
        /// Why not.
        said: String,
    },
    /// A part of it was never fetched.
    #[error(
        "read all of {}: {said}; it is a partial clone, and `git -C {} fetch --refetch --no-filter` fetches \
         what it lacks",
        .path.display(), quoted(.path)
    )]
    Partial {
        /// The tree.
        path: PathBuf,
        /// What git lacks.
        said: String,
    },
    /// It has changes that no revision has.
    #[error(
        "build {}: {changed} in it, that no commit has; commit them, name a revision ({}@HEAD), or take \
         them along with --dirty",
        .path.display(), .path.display()
    )]
    Dirty {
        /// The tree.
        path: PathBuf,
        /// How much, in words.
        changed: String,
    },
    /// Debian's archive.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// An archive of the source.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The cache directory.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A path as a shell reads it.
pub(super) fn quoted(path: &Path) -> String {
    let path = printable_line(&path.to_string_lossy());
    shlex::try_quote(&path).map_or_else(|_| "''".to_owned(), |quoted| quoted.into_owned())
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyError {
    /// The file, and the line at which the hunk was expected, of each hunk that does not apply.
    pub hunks: Vec<(String, usize)>,
    /// git's own words.
    pub said: String,
}

impl ApplyError {
    /// Reads what `git am` says.
    pub(super) fn parse(said: &str) -> Self {
        let hunk = |line: &str| {
            let place = line.strip_prefix("error: patch failed: ")?;
            let (file, line) = place.rsplit_once(':')?;
            Some((file.to_owned(), line.parse().ok()?))
        };
        let hunks = said.lines().filter_map(hunk).collect();
        // The rest advises on a state that the user never sees.
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
        let said = "Applying: perf: a\nerror: patch failed: kernel/events/core.c:12\nerror: kernel/events/core.c: \
                    patch does not apply\nPatch failed at 0001 perf: a\nhint: Use 'git am --show-current-patch'";
        let error = ApplyError::parse(said);
        assert_eq!(error.hunks, [("kernel/events/core.c".to_owned(), 12)]);
        assert_eq!(error.to_string(), "the hunk for kernel/events/core.c:12 does not apply");
        assert!(!error.said.contains("hint"), "{}", error.said);
    }

    #[test]
    fn what_git_cannot_read_at_all_is_told_in_its_words() {
        let error = ApplyError::parse("Patch format detection failed.");
        assert_eq!(error.to_string(), "Patch format detection failed.");
    }
}
