//! Detects what kind of kernel tree a path is.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use super::git::{Git, GitError, strip_marks};
use super::top;
use crate::interrupt::Interrupt;

/// A kernel tree on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TreeInput {
    /// A git repository, or a worktree of one.
    Repository {
        /// The worktree, or the bare repository.
        directory: PathBuf,
        /// `$GIT_COMMON_DIR`, which all worktrees of the repository share.
        common: PathBuf,
    },
    /// A directory without git.
    Directory(PathBuf),
    /// A tarball, or a Debian package with one.
    Archive(PathBuf),
}

impl TreeInput {
    pub(super) fn detect(path: &Path, interrupt: &Interrupt) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Read { path: path.to_owned(), source };
        let useless = |why| SourceError::NotATree { path: path.to_owned(), why };
        let absolute = fs::canonicalize(path).map_err(failed)?;
        let data = fs::metadata(&absolute).map_err(failed)?;
        if data.is_file() {
            return Ok(Self::Archive(absolute));
        }
        if !data.is_dir() {
            // Reading a pipe or a device might never end.
            return Err(useless("it is neither a regular file nor a directory".to_owned()));
        }
        // Check access here: later the error would look like that of a program started in it.
        fs::metadata(absolute.join(".")).and_then(|_| fs::read_dir(&absolute)).map_err(failed)?;
        if looks_like_git(&absolute) {
            return Self::repository(path, absolute, interrupt);
        }
        // Do not search the parents: a tree unpacked inside another repository is not part of it.
        match absolute.join("Makefile").is_file() {
            true => Ok(Self::Directory(absolute)),
            false => Err(useless(format!("it has no Makefile{}", top::hint(&absolute)))),
        }
    }

    /// A directory that looks like a repository. git may still refuse it: if it belongs to another
    /// user, or if it is a worktree whose repository is gone.
    fn repository(
        path: &Path,
        directory: PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Self, SourceError> {
        let refused = |said| SourceError::Refused { path: path.to_owned(), said };
        let git = Git::read_only(&directory, interrupt);
        let ask = |what: &[&str]| {
            git.ask(&[&["rev-parse"], what].concat()).map_err(|error| match error {
                GitError::Failed { said, .. } => refused(strip_marks(&said)),
                error => error.into(),
            })
        };
        let bare = ask(&["--is-bare-repository"])? == "true";
        // git skips a damaged repository and uses one in a parent directory.
        let itself = match bare {
            true => ask(&["--git-dir"])? == ".",
            // Fails without a work tree, as in `.git`.
            false => ask(&["--show-toplevel"]).and_then(|_| ask(&["--show-cdup"]))?.is_empty(),
        };
        if !itself {
            let found = ask(&["--absolute-git-dir"])?;
            return Err(refused(format!("git skips it and uses {found}")));
        }
        let common = ask(&["--path-format=absolute", "--git-common-dir"])?;
        let common = fs::canonicalize(&common)
            .map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        Ok(Self::Repository { directory, common })
    }
}

/// True if a directory looks like a repository, bare or not.
fn looks_like_git(directory: &Path) -> bool {
    // `.git` may also be a file or a dangling link.
    let has = |name| fs::symlink_metadata(directory.join(name)).is_ok();
    has(".git") || ["HEAD", "objects", "refs"].into_iter().all(has)
}
