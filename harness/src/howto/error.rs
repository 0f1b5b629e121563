//! The error of a walk through the how-to.

use std::io;
use std::path::PathBuf;

use crate::engine::TerminalError;
use crate::explain::KnowledgeError;

/// A walk that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HowtoError {
    /// The steps, which are built in, have a mistake.
    #[error("read the steps of the how-to")]
    Script(#[from] toml::de::Error),
    /// A file of steps cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file of steps has a mistake.
    #[error("read the steps in {}", .path.display())]
    Steps {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: toml::de::Error,
    },
    /// The guest fails.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// perfsec's own data about records is damaged.
    #[error(transparent)]
    Knowledge(#[from] KnowledgeError),
}
