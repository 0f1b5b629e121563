//! Errors of writing and reading run records.

use std::io;
use std::path::PathBuf;

use super::event::FORMAT;
use super::run::MisplacedEvent;
use crate::foreign;

/// A run record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be written.
    #[error("write the run record {path}", path = .path.display())]
    Write {
        /// The run record.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("read the run record {path}", path = .path.display())]
    Read {
        /// The run record.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A line is not an event, and it is not the last line.
    #[error(
        "read the run record {path}: line {line} is not an event; the {good} lines before it are \
         good and can be used alone (`head -n {good}`)",
        path = .path.display(), good = .line - 1
    )]
    Damaged {
        /// The run record.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The reason.
        source: serde_json::Error,
    },
    /// A line is longer than any that perfsec writes.
    #[error(
        "read the run record {path}: line {line} is longer than {limit}, the limit of a line \
         (`perfsec help limitations`); the {good} lines before it are good and can be used alone \
         (`head -n {good}`)",
        path = .path.display(), good = .line - 1, limit = foreign::RECORD_LINE
    )]
    LongLine {
        /// The run record.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// An event does not fit the events before it.
    #[error(
        "read the run record {path}: line {line} is out of place; the {good} lines before it are \
         good and can be used alone (`head -n {good}`)",
        path = .path.display(), good = .line - 1
    )]
    Misplaced {
        /// The run record.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// The reason.
        source: MisplacedEvent,
    },
    /// The file has another format.
    #[error(
        "read the run record {path}: it has format {found} (perfsec {perfsec}), and this perfsec \
         reads format {FORMAT}; repeat the run, or use the perfsec that wrote the record",
        path = .path.display()
    )]
    OtherFormat {
        /// The run record.
        path: PathBuf,
        /// Format of the file.
        found: u64,
        /// Version of the perfsec that wrote it.
        perfsec: String,
    },
    /// The file is not a run record.
    #[error(
        "read {path}: not a run record (expected a file written by `perfsec run --out`)",
        path = .path.display()
    )]
    NotARecord {
        /// The file.
        path: PathBuf,
    },
}
