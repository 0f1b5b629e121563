//! A guest system that cannot be built.

use std::io;

use crate::cache::CacheError;
use crate::debian::DebianError;
use crate::host::MissingTools;

/// A guest system that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The suite is unknown, or the host has no mirror.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// A tool is missing.
    #[error(transparent)]
    Tools(#[from] MissingTools),
    /// The suite is an addition to another.
    #[error(
        "build the guest system debian:{suite}: {suite} is no whole system, only an addition to one"
    )]
    NotWhole {
        /// The suite.
        suite: String,
    },
    /// The user is not root, and the host does not let others have namespaces.
    #[error(
        "build a guest system without root: {why}; run this as root, or on a host that allows user \
         namespaces"
    )]
    NoNamespaces {
        /// The part that is missing, as a clause.
        why: String,
    },
    /// The suite lacks packages.
    #[error("build the guest system debian:{suite}: the suite has no package {}", .packages.join(", "))]
    NoPackage {
        /// The packages.
        packages: Vec<String>,
        /// The suite.
        suite: String,
    },
    /// mmdebstrap failed.
    #[error("build the guest system debian:{suite}: mmdebstrap failed; it says:\n{words}")]
    Failed {
        /// The suite.
        suite: String,
        /// The end of its output.
        words: String,
    },
    /// The root lacks a part that makes it a guest system.
    #[error(
        "build the guest system debian:{suite}: the root that mmdebstrap made is incomplete: it has \
         no {missing}; nothing of it is kept, so try again"
    )]
    Incomplete {
        /// The suite.
        suite: String,
        /// The file.
        missing: String,
    },
    /// The root cannot be read.
    #[error(
        "build the guest system debian:{suite}: read the root that mmdebstrap made; nothing of it \
         is kept, so try again"
    )]
    Damaged {
        /// The suite.
        suite: String,
        /// The reason.
        source: io::Error,
    },
    /// mmdebstrap cannot be started, or its output cannot be read.
    #[error("run mmdebstrap")]
    Run(#[source] io::Error),
    /// The user stopped it.
    #[error("build the guest system debian:{suite}: interrupted; nothing of it is kept")]
    Interrupted {
        /// The suite.
        suite: String,
    },
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}
