//! Why a machine cannot be reached over ssh.

use std::io;

use crate::machines::CannotRun;

/// A machine that cannot be reached, or on which no agent starts.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// The program does not start.
    #[error("start `ssh`, which reaches the machine (install an OpenSSH client)")]
    NoProgram(#[source] io::Error),
    /// ssh gives up, for the reason that it prints.
    #[error("reach {machine}: ssh says: {said}")]
    Unreachable {
        /// The machine.
        machine: String,
        /// ssh's own words.
        said: String,
    },
    /// No cell can run there.
    #[error(transparent)]
    CannotRun(#[from] CannotRun),
    /// The machine answers, and the agent does not start.
    #[error("start the agent on {machine}: {said}")]
    NoAgent {
        /// The machine.
        machine: String,
        /// The machine's words.
        said: String,
    },
    /// A file that perfsec needs cannot be read there.
    #[error("read {path} on {machine}")]
    Read {
        /// The machine.
        machine: String,
        /// The file.
        path: String,
        /// The error of the machine's system.
        source: io::Error,
    },
    /// Its kernel cannot be described.
    #[error("look at the kernel of {machine}")]
    Kernel {
        /// The machine.
        machine: String,
        /// The reason.
        source: crate::kernel::RunningError,
    },
    /// The user wants perfsec to stop.
    #[error("the run was interrupted")]
    Interrupted,
}
