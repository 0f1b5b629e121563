//! How a task fails.

use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

use xshell::Cmd;

/// Why a task did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command failed whose words are worth nothing to others.
    #[error(transparent)]
    Shell(#[from] xshell::Error),
    /// A command could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// A command that speaks for itself ended with this exit status.
    #[error("{command} failed ({status})")]
    Ended {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Whether that is said once more.
        said: bool,
    },
    /// Cargo lacks components.
    #[error(
        "cargo lacks {what}; add them with `rustup component add {what}`, \
         or with the package manager that brought cargo"
    )]
    Components {
        /// Their names.
        what: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {path}: {source}", path = .path.display())]
    File {
        /// What was done with it.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program's output is not what it is known for.
    #[error("{program} wrote something unexpected: {what}")]
    Output {
        /// The program.
        program: &'static str,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    /// What to say, if the command has not said it all.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Ended { said: true, .. } => None,
            other => Some(other.to_string()),
        }
    }

    /// The exit code: a command's own where one failed.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Ended { status, .. } => {
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                code.map_or(ExitCode::FAILURE, ExitCode::from)
            }
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs a command on our own terminal; its failure is ours.
pub(crate) fn run(command: Cmd<'_>) -> Result<(), Error> {
    status(command, false)
}

/// The same for a command after which there is nothing more to say.
pub(crate) fn pass_on(command: Cmd<'_>) -> Result<(), Error> {
    status(command, true)
}

// xshell forgets the exit code of a command that it runs.
fn status(command: Cmd<'_>, said: bool) -> Result<(), Error> {
    let text = command.to_string();
    let status = Command::from(command)
        .status()
        .map_err(|source| Error::Start { command: text.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::Ended { command: text, status, said }) }
}
