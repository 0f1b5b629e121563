//! Errors of kernel builds.

use std::io;
use std::path::PathBuf;

use super::diagnostic::Diagnostic;
use super::kconfig::{FragmentError, KconfigError};
use super::toolchain::ToolchainError;
use crate::cache::CacheError;
use crate::host::MissingTools;
use crate::kernel::KernelError;
use crate::source::{Commit, NotATree, SourceError};

/// A build that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The commit does not build: the compiler, the linker or make failed.
    #[error("{0}")]
    Failed(Box<BuildFailure>),
    /// The tree cannot be configured as requested.
    #[error(transparent)]
    Configure(#[from] KconfigError),
    /// A fragment cannot be read.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// The tree cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The checkout is not a kernel tree.
    #[error(transparent)]
    NotATree(#[from] NotATree),
    /// The image cannot be stored in the cache.
    #[error(transparent)]
    Image(#[from] KernelError),
    /// The host lacks tools.
    #[error(transparent)]
    Missing(#[from] MissingTools),
    /// The compiler or the linker does not run.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// make cannot be started.
    #[error("run make (`perfsec doctor --for kernel-build` says how to install it)")]
    Start(#[source] io::Error),
    /// The disk is full.
    #[error(
        "build in {}: no space left; a build needs about 300 MB; free some, or set \
         PERFSEC_CACHE_DIR to a directory with room",
        .0.display()
    )]
    Full(PathBuf),
    /// The cache directory failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The user interrupted the build.
    #[error("build {}: interrupted; the next build continues from here", .0.short())]
    Interrupted(Commit),
}

impl BuildError {
    /// True if the commit is to blame: other commits of the tree may build.
    #[must_use]
    pub fn is_commits_fault(&self) -> bool {
        match self {
            Self::Failed(_) | Self::NotATree(_) => true,
            Self::Configure(error) => matches!(error, KconfigError::Dropped { .. }),
            Self::Fragment(_)
            | Self::Source(_)
            | Self::Image(_)
            | Self::Missing(_)
            | Self::Toolchain(_)
            | Self::Start(_)
            | Self::Full(_)
            | Self::Cache(_)
            | Self::Interrupted(_) => false,
        }
    }

    /// Converts an error that is the commit's fault to a [`BuildFailure`].
    ///
    /// # Errors
    ///
    /// The error itself, if something else is to blame.
    pub fn into_build_failure(
        self,
        commit: &Commit,
        subject: String,
    ) -> Result<BuildFailure, Self> {
        match self {
            Self::Failed(failure) => Ok(*failure),
            error if error.is_commits_fault() => {
                let message = format!("cannot {error}");
                let first = Some(Diagnostic { file: None, line: None, message });
                let (commit, log) = (commit.clone(), PathBuf::new());
                Ok(BuildFailure { commit, subject, first, places: Vec::new(), log })
            }
            error => Err(error),
        }
    }
}

/// A commit that does not build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "build {} ({subject}): {}; the log is {}",
    .commit.short(), reason(.first.as_ref()), .log.display()
)]
pub struct BuildFailure {
    /// The commit.
    pub commit: Commit,
    /// The first line of its message.
    pub subject: String,
    /// The first error in the log, if any.
    pub first: Option<Diagnostic>,
    /// Every place that the compiler's errors name.
    pub places: Vec<Diagnostic>,
    /// Path of the build log.
    pub log: PathBuf,
}

fn reason(first: Option<&Diagnostic>) -> String {
    first.map_or_else(|| "make failed without a message".to_owned(), ToString::to_string)
}
