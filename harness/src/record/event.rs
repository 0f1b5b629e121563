//! What happens in a run.

use std::path::PathBuf;

use perfsec_wire::{Boot, Coverage, Facts, Observation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::case::Coordinates;
use crate::host::OsRelease;
use crate::judge::{Judgement, Verdict};
use crate::kernel::Kernel;
use crate::machines::{End, Machinery};
use crate::plan::Filter;

/// Version of the format; readers refuse any other.
pub const FORMAT: u32 = 5;

/// One line of a run record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Run(RunStarted),
    /// A lane begins: a kernel under a policy.
    Lane(Box<LaneStarted>),
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// [`FORMAT`]
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// Version of perfsec.
    pub perfsec: String,
    /// When, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// SHA-256 of the agent, in hex.
    pub agent: String,
    /// The host that it runs on, in a few words.
    pub host: String,
    /// Which cells were asked for.
    pub asked: Selection,
    /// Number of cells, over all lanes.
    pub cells: usize,
}

/// What chose the cells of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Asked")]
pub struct Selection {
    /// SHA-256 of the cases that there were to choose from, in hex.
    pub cases_sha256: String,
    /// The directory of the cases; none for those that perfsec brings.
    pub cases_directory: Option<PathBuf>,
    /// Which of them.
    pub filter: Filter,
}

impl Selection {
    /// True if all cells of these cases were asked for: no filter, and no shard.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.filter == Filter::default()
    }
}

impl RunStarted {
    /// A run of this perfsec that begins now.
    #[must_use]
    pub fn now(cells: usize, asked: Selection) -> Self {
        Self {
            format: FORMAT,
            perfsec: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            command: std::env::args().collect(),
            agent: crate::hex(&Sha256::digest(crate::AGENT)),
            host: OsRelease::of_host().name(),
            asked,
            cells,
        }
    }
}

/// A kernel under a policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
    /// The documents, commits and source lines that promise what is expected.
    pub source: Vec<String>,
    /// Begin of the SHA-256 of the case file, in hex: whether another run had the same case.
    pub case_sha256: String,
    /// Reasons of the conditions on the kernel that hold here and that lines of the expectation depend on:
    /// what the case says when kernels differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Which cell of the case.
    pub at: Coordinates,
    /// The judgement.
    pub judgement: Judgement,
    /// What the agent saw, if it ran.
    pub observation: Option<Observation>,
}

/// What the cells of a boot covered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BootCoverage {
    /// The lane.
    pub lane: usize,
    /// The boot.
    pub boot: usize,
    /// The places of the kernel that asked the security modules, and the answers.
    pub coverage: Box<Coverage>,
}

/// A boot that ended too early.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneEnded {
    /// The lane.
    pub lane: usize,
    /// How often it booted.
    pub boots: usize,
    /// From first boot to last power-off, on the host's clock.
    pub millis: u64,
    /// Why nothing could be tested, if so.
    pub refused: Option<LaneRefusal>,
}

/// A lane in which nothing could be tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Refused")]
pub struct LaneRefusal {
    /// Why, and what to do.
    pub reason: String,
    /// The console, its end when it is long.
    pub console: String,
}

/// The last event.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunEnded {
    /// Number of cells by verdict.
    pub counts: Vec<(Verdict, usize)>,
    /// Whether the user stopped it.
    pub interrupted: bool,
    /// How long it took.
    pub millis: u64,
}
