//! The run record: everything that happened in a run, one event a line, in the order it happened.
//!
//! The runner emits [`Event`]s; progress, text and this file are subscribers and nothing else. Every
//! report can be made again from the file, and a run that is killed leaves all that it had seen.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use perfsec_wire::{Boot, Coverage, Facts, Observation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::case::Coordinates;
use crate::judge::{Judgement, Verdict};
use crate::kernel::Kernel;
use crate::target::{End, Machinery};

/// Version of the format; readers refuse any other.
pub const FORMAT: u32 = 3;

/// One line of a run record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "the large one comes once for each lane")]
pub enum Event {
    /// The run begins.
    Run(RunStarted),
    /// A lane begins: a kernel under a policy.
    Lane(LaneStarted),
    /// A boot of a lane is ready for its first cell.
    Ready(LaneReady),
    /// A cell is over.
    Cell(Box<CellResult>),
    /// What the cells of a boot covered, in a run that measures it.
    Coverage(BootCoverage),
    /// A boot ended before its cells were over.
    Death(Death),
    /// A lane is over.
    LaneEnd(LaneEnded),
    /// The run is over.
    End(RunEnded),
}

/// The first event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunStarted {
    /// [`FORMAT`]
    pub format: u32,
    /// Version of perfsec.
    pub perfsec: String,
    /// When, in RFC 3339.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// SHA-256 of the agent, in hex.
    pub agent: String,
    /// Number of cells, over all lanes.
    pub cells: usize,
}

impl RunStarted {
    /// A run of this perfsec that begins now.
    #[must_use]
    pub fn now(cells: usize) -> Self {
        Self {
            format: FORMAT,
            perfsec: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            command: std::env::args().collect(),
            agent: crate::hex(&Sha256::digest(crate::AGENT)),
            cells,
        }
    }
}

/// A kernel under a policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneStarted {
    /// Number of the lane in this run, from 0.
    pub lane: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// What the kernel is booted as.
    pub boot: Boot,
    /// Name of the policy; cells may ask for another.
    pub policy: String,
    /// SHA-256 of the binary policy, in hex.
    pub policy_sha256: String,
    /// What runs it.
    pub machinery: Machinery,
    /// Number of its cells.
    pub cells: usize,
}

/// What was read back before the first cell of a boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneReady {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in the lane, from 0.
    pub boot: usize,
    /// From start to ready, on the host's clock.
    pub millis: u64,
    /// What was read back.
    pub facts: Box<Facts>,
}

/// What came of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CellResult {
    /// The lane.
    pub lane: usize,
    /// The boot in which it ran.
    pub boot: usize,
    /// Its full name.
    pub name: String,
    /// Name of its case.
    pub case: String,
    /// What the case shows.
    pub title: String,
    /// The case file.
    pub path: PathBuf,
    /// Line of the file in which its expectation begins.
    pub line: usize,
    /// Which cell of the case.
    pub at: Coordinates,
    /// The judgement.
    pub judgement: Judgement,
    /// What the agent saw, if it ran.
    pub observation: Option<Observation>,
}

/// What the cells of a boot covered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BootCoverage {
    /// The lane.
    pub lane: usize,
    /// The boot.
    pub boot: usize,
    /// The places of the kernel that asked the security modules, and the answers.
    pub coverage: Box<Coverage>,
}

/// A boot that ended too early.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Death {
    /// The lane.
    pub lane: usize,
    /// The boot.
    pub boot: usize,
    /// How the machine ended.
    pub end: End,
    /// What it died of, in one line.
    pub cause: String,
    /// The cell that ran, if one did.
    pub cell: Option<String>,
    /// The console, its end when it is long.
    pub console: String,
}

/// A lane is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaneEnded {
    /// The lane.
    pub lane: usize,
    /// How often it booted.
    pub boots: usize,
    /// From first boot to last power-off, on the host's clock.
    pub millis: u64,
    /// Why nothing could be tested, if so.
    pub refused: Option<Refused>,
}

/// A lane in which nothing could be tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why, and what to do.
    pub reason: String,
    /// The console, its end when it is long.
    pub console: String,
}

/// The last event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunEnded {
    /// Number of cells by verdict.
    pub counts: Vec<(Verdict, usize)>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// How long it took.
    pub millis: u64,
}

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
    /// A line is no event.
    #[error("read the run record {path}: line {line} is no event; what stands before it is good", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The file is no run record, or of another format.
    #[error("read {path}: it is no run record of format {FORMAT}", path = .path.display())]
    NotARecord {
        /// Which file.
        path: PathBuf,
    },
}

/// Writes events as they come.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// Begins a record.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let error = |source| RecordError::Write { path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(error)?;
        }
        let file = File::create(path).map_err(error)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Adds an event. What is written can be read even if perfsec is killed right after.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<(), RecordError> {
        let result = serde_json::to_writer(&mut self.file, event)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.flush());
        result.map_err(|source| RecordError::Write { path: self.path.clone(), source })
    }
}

/// Reads a record.
///
/// # Errors
///
/// When the file cannot be read, is of another format, or is damaged.
pub fn read(path: &Path) -> Result<Vec<Event>, RecordError> {
    let error = |source| RecordError::Read { path: path.to_owned(), source };
    let file = BufReader::new(File::open(path).map_err(error)?);
    let mut events = Vec::new();
    for (index, line) in file.lines().enumerate() {
        let line = line.map_err(error)?;
        let event = serde_json::from_str(&line).map_err(|source| match index {
            0 => RecordError::NotARecord { path: path.to_owned() },
            _ => RecordError::Damaged { path: path.to_owned(), line: index + 1, source },
        })?;
        events.push(event);
    }
    match events.first() {
        Some(Event::Run(run)) if run.format == FORMAT => Ok(events),
        _ => Err(RecordError::NotARecord { path: path.to_owned() }),
    }
}
