//! How a kernel is named on the command line.

use std::fmt;
use std::str::FromStr;

use crate::kbuild::{TreeLocation, TreeSpec, TreeSpecError};
use crate::kernel::{ImageSpec, ImageSpecError, Kernel, Origin};

/// What a kernel's name begins with when it is to be built.
const TREE: &str = "tree:";

/// A kernel that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSpec {
    /// One that is there.
    Image(ImageSpec),
    /// `tree:PATH[@REVISION]`: one that is built from source.
    Tree(TreeSpec),
}

/// What is wrong with the name of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub enum SpecError {
    /// Of one that is there.
    Image(#[from] ImageSpecError),
    /// Of one that is built.
    Tree(#[from] TreeSpecError),
}

impl KernelSpec {
    /// The name under which a kernel that was had before can be had again.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn again(kernel: &Kernel) -> Result<Self, SpecError> {
        match &kernel.origin {
            Origin::File { path } | Origin::Deb { path, .. } => {
                Ok(Self::Image(ImageSpec::File(path.clone())))
            }
            Origin::Debian { .. } => format!("debian:{}", kernel.version).parse(),
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
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
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
    fn a_name_is_read_and_shown_alike() {
        for (text, tree) in [("tree:.@v6.1", true), ("debian:6.1", false), ("./tree:.", false)] {
            let spec: KernelSpec = text.parse().unwrap();
            assert_eq!(matches!(spec, KernelSpec::Tree(_)), tree);
            assert_eq!(spec.to_string(), text);
        }
        assert!("tree:".parse::<KernelSpec>().is_err());
    }
}
