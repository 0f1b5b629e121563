//! The error of the agent: one type, because it is only ever reported.

use std::fmt::Display;
use std::io;

use nix::errno::Errno;
use perfsec_wire::Refusal;
use perfsec_wire::observation::SetupFailure;

/// A failed action.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}: {detail}")]
pub(crate) struct Error {
    /// The action, as a fragment that fits after "could not".
    pub(crate) doing: String,
    /// The error number, or 0 when no syscall failed.
    pub(crate) errno: i32,
    /// The kernel's or our own explanation.
    pub(crate) detail: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that is not a syscall's.
    pub(crate) fn new(doing: impl Display, detail: impl Display) -> Self {
        Self { doing: doing.to_string(), errno: 0, detail: detail.to_string() }
    }

    /// As the reason why no cell runs.
    pub(crate) fn refusal(self) -> Refusal {
        let doing = match self.errno {
            0 => format!("{}: {}", self.doing, self.detail),
            _ => self.doing,
        };
        Refusal::Setup { doing, errno: self.errno }
    }

    /// As the reason why one cell did not run.
    pub(crate) fn failure(self) -> SetupFailure {
        SetupFailure { doing: self.doing, errno: self.errno, detail: self.detail }
    }
}

/// Turns the result of a raw syscall (`-errno` on failure) into a `Result`.
pub(crate) fn check_result(result: i64) -> nix::Result<i64> {
    if result < 0 { Err(Errno::from_raw(result.unsigned_abs() as i32)) } else { Ok(result) }
}

/// Adds the action to the error of a syscall.
pub(crate) trait ErrorContext<T> {
    /// Turns a failure into an [`Error`]; `action` is formatted only then.
    fn doing(self, action: impl Display) -> Result<T>;
}

impl<T> ErrorContext<T> for io::Result<T> {
    fn doing(self, action: impl Display) -> Result<T> {
        self.map_err(|error| Error {
            doing: action.to_string(),
            errno: error.raw_os_error().unwrap_or(0),
            detail: error.to_string(),
        })
    }
}

impl<T> ErrorContext<T> for nix::Result<T> {
    fn doing(self, action: impl Display) -> Result<T> {
        self.map_err(|errno: Errno| Error {
            doing: action.to_string(),
            errno: errno as i32,
            detail: errno.desc().to_owned(),
        })
    }
}
