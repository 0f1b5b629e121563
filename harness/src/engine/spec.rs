//! Names of kernels, as given on the command line.

use std::fmt;
use std::str::FromStr;

use super::EngineError;
use crate::kbuild::{TreeLocation, TreeSpec, TreeSpecError};
use crate::kernel::{self, ImageSpec, ImageSpecError, Kernel, Origin};

/// Prefix of the name of a kernel to build.
const TREE: &str = "tree:";

/// The name of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSpec {
    /// An existing kernel: a file, `debian:SUITE` or `debian:VERSION`.
    Image(ImageSpec),
    /// `tree:PATH[@REVISION]`: a kernel to build from source.
    Tree(TreeSpec),
}

/// The error for a name that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub enum KernelSpecError {
    /// The name of an existing kernel does not parse.
    Image(#[from] ImageSpecError),
    /// The name of a tree does not parse.
    Tree(#[from] TreeSpecError),
    /// The kernel is one that a machine ran.
    Running(#[from] OnlyRunning),
}

/// A kernel that has no name: some machine ran it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("obtain the kernel again: {host} ran it, and perfsec has no image of it")]
pub struct OnlyRunning {
    /// The machine's host name.
    host: String,
}

impl KernelSpec {
    /// The default kernel: the newest stock kernel of this host's own suite.
    ///
    /// # Errors
    ///
    /// Returns an error if the host is not a Debian release.
    pub fn of_host() -> Result<Self, EngineError> {
        Ok(Self::Image(kernel::default_spec()?))
    }

    /// The name that obtains a kernel of an earlier run again.
    ///
    /// # Errors
    ///
    /// Returns an error if the record's name of its tree or version does not parse.
    pub fn again(kernel: &Kernel) -> Result<Self, KernelSpecError> {
        match &kernel.origin {
            Origin::File { path } | Origin::Deb { path, .. } | Origin::Rpm { path, .. } => {
                Ok(Self::Image(ImageSpec::File(path.clone())))
            }
            Origin::Debian { .. } => format!("debian:{}", kernel.version).parse(),
            Origin::Running { host } => Err(OnlyRunning { host: host.clone() }.into()),
            Origin::Tree { tree, commit, .. } => {
                let location: TreeLocation = tree.parse()?;
                let revision = match location {
                    TreeLocation::Path(_) => Some(commit.clone()),
                    TreeLocation::Debian(_) => None,
                };
                Ok(Self::Tree(TreeSpec { location, revision }))
            }
        }
    }
}

impl FromStr for KernelSpec {
    type Err = KernelSpecError;

    fn from_str(text: &str) -> Result<Self, KernelSpecError> {
        Ok(match text.strip_prefix(TREE) {
            Some(tree) => Self::Tree(tree.parse()?),
            None => Self::Image(text.parse()?),
        })
    }
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => image.fmt(f),
            Self::Tree(tree) => write!(f, "{TREE}{tree}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_parses_and_prints_the_same() {
        for (text, tree) in [("tree:.@v6.1", true), ("debian:6.1", false), ("./tree:.", false)] {
            let spec: KernelSpec = text.parse().unwrap();
            assert_eq!(matches!(spec, KernelSpec::Tree(_)), tree);
            assert_eq!(spec.to_string(), text);
        }
        assert!("tree:".parse::<KernelSpec>().is_err());
    }
}
