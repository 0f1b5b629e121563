//! What can go wrong in the agent: one type, because all that is ever done with it is to say it.

use std::fmt::Display;
use std::io;

use nix::errno::Errno;
use perfsec_wire::Refusal;
use perfsec_wire::observation::SetupFailure;

/// Something could not be done.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing}: {detail}")]
pub(crate) struct Error {
    /// A fragment that fits after "could not".
    pub(crate) doing: String,
    /// The error number, or 0 when no syscall failed.
    pub(crate) errno: i32,
    /// What else is known.
    pub(crate) detail: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error that no syscall reported.
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

/// What a raw syscall returned (`-errno` on failure) as everything else here returns it.
pub(crate) fn returned(result: i64) -> nix::Result<i64> {
    if result < 0 { Err(Errno::from_raw(result.unsigned_abs() as i32)) } else { Ok(result) }
}

/// Says what was being done when a syscall failed.
pub(crate) trait Doing<T> {
    /// Turns the failure into an [`Error`]; `what` is formatted only then.
    fn doing(self, what: impl Display) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Error {
            doing: what.to_string(),
            errno: error.raw_os_error().unwrap_or(0),
            detail: error.to_string(),
        })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|errno: Errno| Error {
            doing: what.to_string(),
            errno: errno as i32,
            detail: errno.desc().to_owned(),
        })
    }
}
