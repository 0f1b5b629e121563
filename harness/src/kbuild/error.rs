//! Why a kernel does not get built.

use std::io;
use std::path::PathBuf;

use super::diagnostic::Diagnostic;
use super::kconfig::{FragmentError, KconfigError};
use super::toolchain::ToolchainError;
use crate::cache::CacheError;
use crate::host::MissingTools;
use crate::kernel::KernelError;
use crate::source::{Commit, NotATree, SourceError};

/// Why a kernel does not get built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Its own fault: the compiler, the linker or make refuse it.
    #[error("{0}")]
    Failed(Box<BuildFailure>),
    /// The configuration that was asked for cannot be had of it.
    #[error(transparent)]
    Configure(#[from] KconfigError),
    /// A fragment cannot be read.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// The tree.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What is checked out is no kernel.
    #[error(transparent)]
    NotATree(#[from] NotATree),
    /// What came out cannot be kept.
    #[error(transparent)]
    Image(#[from] KernelError),
    /// The host lacks what kernels are built with.
    #[error(transparent)]
    Missing(#[from] MissingTools),
    /// The compiler does not run.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// make cannot be started.
    #[error("run make (`perfsec doctor --for kernel-build` says how to install it)")]
    Start(#[source] io::Error),
    /// The disk is full.
    #[error(
        "build in {}: no space left; a build needs about 300 MB; free some, or set PERFSEC_CACHE_DIR to a \
         directory with room",
        .0.display()
    )]
    Full(PathBuf),
    /// The cache directory.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The user stopped it.
    #[error("build {}: interrupted; the next build goes on from here", .0.short())]
    Interrupted(Commit),
}

impl BuildError {
    /// Whether the commit is to blame: another one of the same tree may well build.
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

    /// What is wrong with a commit of a tree whose other commits build; an error that is not the commit's
    /// stays one.
    ///
    /// # Errors
    ///
    /// When something else is to blame.
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
                Ok(BuildFailure { commit: commit.clone(), subject, first, log: PathBuf::new() })
            }
            error => Err(error),
        }
    }
}

/// A kernel that does not build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("build {} ({subject}): {}; the log is {}", .commit.short(), words(.first.as_ref()), .log.display())]
pub struct BuildFailure {
    /// Which commit.
    pub commit: Commit,
    /// The first line of its message.
    pub subject: String,
    /// The first error.
    pub first: Option<Diagnostic>,
    /// All that was said.
    pub log: PathBuf,
}

fn words(first: Option<&Diagnostic>) -> String {
    first.map_or_else(|| "make failed without saying why".to_owned(), ToString::to_string)
}
