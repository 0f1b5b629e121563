//! Why a run record cannot be written or read.

use std::io;
use std::path::PathBuf;

use super::event::FORMAT;
use super::run::MisplacedEvent;

/// Why a run record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be written.
    #[error("write the run record {path}", path = .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("read the run record {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is no event, and others follow it.
    #[error(
        "read the run record {path}: line {line} is no event; the {good} lines before it are good \
         and can be used alone (`head -n {good}`)",
        path = .path.display(), good = .line - 1
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An event does not fit what came before it.
    #[error(
        "read the run record {path}: line {line} does not belong there; the {good} lines before it are \
         good and can be used alone (`head -n {good}`)",
        path = .path.display(), good = .line - 1
    )]
    Misplaced {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: MisplacedEvent,
    },
    /// The file is of another format.
    #[error(
        "read the run record {path}: it is of format {found} (perfsec {perfsec}), and this perfsec \
         reads format {FORMAT}; run it again, or use the perfsec that wrote it",
        path = .path.display()
    )]
    OtherFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// What wrote it.
        perfsec: String,
    },
    /// The file is no run record.
    #[error("read {path}: it is no run record, as `perfsec run --out FILE` writes it", path = .path.display())]
    NotARecord {
        /// Which file.
        path: PathBuf,
    },
}
