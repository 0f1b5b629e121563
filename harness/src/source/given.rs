//! What the user named as a kernel tree.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use super::git::Git;
use crate::interrupt::Interrupt;

/// A kernel tree as it lies on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// A git repository, or a worktree of one.
    Repository {
        /// The directory in which git is asked.
        directory: PathBuf,
        /// What all worktrees of the repository have in common.
        common: PathBuf,
    },
    /// A directory that no git knows.
    Directory(PathBuf),
    /// A tarball, or a Debian package with one.
    Archive(PathBuf),
}

impl Given {
    pub(super) fn of(path: &Path, interrupt: &Interrupt) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_owned(), source };
        let absolute = fs::canonicalize(path).map_err(failed)?;
        if !fs::metadata(&absolute).map_err(failed)?.is_dir() {
            return Ok(Self::Archive(absolute));
        }
        let git = Git::of_user(&absolute, interrupt);
        let top = git.try_ask(&["rev-parse", "--show-toplevel"])?;
        let is_bare = || -> Result<bool, SourceError> {
            let bare = git.try_ask(&["rev-parse", "--is-bare-repository"])?;
            Ok(bare.as_deref() == Some("true"))
        };
        // A tree that was unpacked below another repository is none of that repository's.
        let own = match &top {
            Some(top) => fs::canonicalize(top).is_ok_and(|top| top == absolute),
            None => is_bare()?,
        };
        if !own {
            return match absolute.join("Makefile").is_file() {
                true => Ok(Self::Directory(absolute)),
                false => Err(SourceError::NotATree {
                    path: path.to_owned(),
                    why: "it has no Makefile".to_owned(),
                }),
            };
        }
        let common = git.ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        let common = fs::canonicalize(&common).map_err(failed)?;
        Ok(Self::Repository { directory: absolute, common })
    }
}
