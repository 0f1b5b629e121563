//! The tree that a release is built from.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::Error;

/// A tree with its commit.
pub(super) struct Source {
    /// The root of the tree.
    pub(super) tree: PathBuf,
    /// The commit, with `-dirty` if files differ from it.
    pub(super) commit: String,
    /// The time of the commit, in seconds since 1970: the time of everything in a release.
    pub(super) epoch: String,
    /// The version of perfsec.
    pub(super) version: String,
}

impl Source {
    pub(super) fn of(shell: &Shell, tree: &Path) -> Result<Self, Error> {
        let git = |arguments: &[&str]| {
            cmd!(shell, "git -C {tree}").args(arguments).quiet().read().map_err(Error::from)
        };
        let cargo = shell.read_file(tree.join("Cargo.toml"))?;
        let version = cargo.lines().find_map(|line| line.strip_prefix("version = "));
        let version = version.unwrap_or_default().trim_matches('"').to_owned();
        Ok(Self {
            tree: tree.to_owned(),
            commit: git(&["describe", "--always", "--abbrev=40", "--match=", "--dirty"])?,
            epoch: git(&["log", "-1", "--format=%ct"])?,
            version,
        })
    }

    pub(super) fn is_changed(&self) -> bool {
        self.commit.ends_with("-dirty")
    }

    /// The directory of cargo's output.
    pub(super) fn target(&self) -> PathBuf {
        self.tree.join("target")
    }
}
