//! Series in an archive of mails: b4 finds the newest version and fetches it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::read::{Series, SeriesError};
use crate::host::find_program;
use crate::interrupt::Interrupt;
use crate::mbox::MessageId;
use crate::process;

/// The series of a message cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// b4 is not installed.
    #[error(
        "fetch the series of {0}: find b4; install it (Debian's package `b4`, or `pipx install b4`), \
         or save the thread as a mailbox"
    )]
    NoB4(String),
    /// b4 cannot be started, or its files cannot be read.
    #[error("fetch the series of {id}")]
    Run {
        /// The Message-ID.
        id: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// b4 failed.
    #[error("fetch the series of {id}: `b4 am` failed ({status}){said}")]
    Failed {
        /// The Message-ID.
        id: String,
        /// Its end.
        status: String,
        /// The end of its messages, each on a line of its own.
        said: String,
    },
    /// b4 ended without an error, and wrote no mailbox.
    #[error("fetch the series of {id}: `b4 am` wrote no mailbox: no patch in that thread?{said}")]
    NoMailbox {
        /// The Message-ID.
        id: String,
        /// The end of its messages, each on a line of its own.
        said: String,
    },
    /// The mailbox is not a series.
    #[error(transparent)]
    Read(#[from] SeriesError),
}

/// Number of lines of b4's messages in an error.
const LINES: usize = 5;

impl Series {
    /// Fetches the newest version of the series to which a message belongs, with `b4 am`, to a
    /// directory of the caller's.
    ///
    /// # Errors
    ///
    /// Returns an error if b4 is not installed or fails, or if what it fetched is not a series.
    pub fn fetch(id: &MessageId, room: &Path, interrupt: &Interrupt) -> Result<Self, FetchError> {
        let name = || id.as_str().to_owned();
        let program = find_program("b4").map_err(|_| FetchError::NoB4(name()))?;
        let mut command = Command::new(program);
        command.args(["am", "--outdir"]).arg(room).arg("--").arg(id.as_str());
        let wrong = |source| FetchError::Run { id: name(), source };
        let output = process::output(command, Stdio::null(), interrupt).map_err(wrong)?;
        let said = last_lines(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(FetchError::Failed { id: name(), status: output.status.to_string(), said });
        }
        let Some(mailbox) = mailbox(room).map_err(wrong)? else {
            return Err(FetchError::NoMailbox { id: name(), said });
        };
        Ok(Self { name: name(), ..Self::of_mailbox(&mailbox)? })
    }
}

/// The mailbox that b4 wrote.
fn mailbox(room: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(room)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "mbx") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter().map(|line| format!("\n  {line}")).collect()
}
