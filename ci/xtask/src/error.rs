//! Errors of tasks.

use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

use xshell::Cmd;

/// All the ways a task can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command that runs behind the scenes failed.
    #[error(transparent)]
    Shell(#[from] xshell::Error),
    /// A command could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A command on the user's terminal failed.
    #[error("{command} failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// True if the command has reported the failure itself, so that no message follows.
        reported: bool,
    },
    /// Components of cargo are missing.
    #[error(
        "cargo lacks {what}: run `rustup component add {what}`, or install it with the package \
         manager that installed cargo"
    )]
    Components {
        /// The components' names, separated by spaces.
        what: String,
    },
    /// There is no such fuzz target.
    #[error("no fuzz target {name} (expected one of: {known})")]
    FuzzTarget {
        /// The target that was asked for.
        name: String,
        /// The targets, separated by commas.
        known: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {source}", path = .path.display())]
    File {
        /// The action, as a verb: `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A program's output lacks what was expected.
    #[error("unexpected output of {program}: {what}")]
    Output {
        /// The program.
        program: &'static str,
        /// The fault in the output.
        what: String,
    },
}

impl Error {
    /// The message to print. Returns `None` if the failed command has printed its own.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Self::Failed { reported: true, .. } => None,
            other => Some(other.to_string()),
        }
    }

    /// The exit code: that of the failed command, if there is one.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Failed { status, .. } => {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                code.map_or(ExitCode::FAILURE, ExitCode::from)
            }
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs a command on the user's terminal and fails if it fails.
pub(crate) fn run(command: Cmd<'_>) -> Result<(), Error> {
    status(command, false)
}

/// Like [`run`], for a command that reports its failure itself.
pub(crate) fn pass_on(command: Cmd<'_>) -> Result<(), Error> {
    status(command, true)
}

// xshell drops the exit code of a command.
fn status(command: Cmd<'_>, reported: bool) -> Result<(), Error> {
    let text = command.to_string();
    let status = Command::from(command)
        .status()
        .map_err(|source| Error::Start { command: text.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { command: text, status, reported }) }
}
