//! The error of a policy that cannot be extended.

use std::io;
use std::path::PathBuf;

/// A policy that cannot be extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// The path does not exist or cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The directory is not a tree of policy source.
    #[error(
        "extend {}: it is not the top of a tree of policy source, which has {missing}",
        .path.display()
    )]
    NotATree {
        /// The directory.
        path: PathBuf,
        /// The file that is not there.
        missing: &'static str,
    },
    /// The file is not CIL.
    #[error(
        "extend {}: it is not CIL source (`semodule --cil --extract base` writes that of an \
         installed policy)",
        .path.display()
    )]
    NotCil {
        /// The file.
        path: PathBuf,
    },
    /// The policy does not declare the class to which a permission belongs.
    #[error(
        "extend {}: it does not declare the class {class}; a permission can be added only where \
         its class is declared, in most policies the module `base`",
        .path.display()
    )]
    NoClass {
        /// The file.
        path: PathBuf,
        /// The class.
        class: &'static str,
    },
    /// A tree has no file that belongs to the base module and can take rules.
    #[error("extend {}: {file} is not there, and the rules about domains belong there", .path.display())]
    NoRules {
        /// The tree.
        path: PathBuf,
        /// The file.
        file: &'static str,
    },
}
