//! What the user named as a kernel tree.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use super::git::{Git, GitError, words};
use super::top;
use crate::interrupt::Interrupt;

/// A kernel tree as it lies on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TreeInput {
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
            // A pipe or a device might never end.
            return Err(useless("it is no regular file and no directory".to_owned()));
        }
        // That a directory cannot be entered would be taken for a fault of the programs that are to run in it.
        fs::metadata(absolute.join(".")).and_then(|_| fs::read_dir(&absolute)).map_err(failed)?;
        if is_of_git(&absolute) {
            return Self::repository(path, absolute, interrupt);
        }
        // One that was unpacked below another repository is none of that repository's.
        match absolute.join("Makefile").is_file() {
            true => Ok(Self::Directory(absolute)),
            false => Err(useless(format!("it has no Makefile{}", top::hint(&absolute)))),
        }
    }

    /// A directory which says that it is a repository. Whether git agrees is another matter: it refuses those
    /// of other users, and a worktree whose repository is gone.
    fn repository(
        path: &Path,
        directory: PathBuf,
        interrupt: &Interrupt,
    ) -> Result<Self, SourceError> {
        let refused = |said| SourceError::Refused { path: path.to_owned(), said };
        let git = Git::read_only(&directory, interrupt);
        let ask = |what: &[&str]| {
            git.ask(&[&["rev-parse"], what].concat()).map_err(|error| match error {
                GitError::Failed { said, .. } => refused(words(&said)),
                error => error.into(),
            })
        };
        let bare = ask(&["--is-bare-repository"])? == "true";
        // git passes over what is not sound, and finds a repository around it.
        let itself = match bare {
            true => ask(&["--git-dir"])? == ".",
            // Fails where there is no work tree, as in a `.git`.
            false => ask(&["--show-toplevel"]).and_then(|_| ask(&["--show-cdup"]))?.is_empty(),
        };
        if !itself {
            let found = ask(&["--absolute-git-dir"])?;
            return Err(refused(format!("git passes it over and finds {found}")));
        }
        let common = ask(&["--path-format=absolute", "--git-common-dir"])?;
        let common = fs::canonicalize(&common)
            .map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
        Ok(Self::Repository { directory, common })
    }
}

/// Whether a directory says that it is a repository, bare or not.
fn is_of_git(directory: &Path) -> bool {
    // It may be a file or a link, and lead nowhere.
    let has = |name| fs::symlink_metadata(directory.join(name)).is_ok();
    has(".git") || ["HEAD", "objects", "refs"].into_iter().all(has)
}
