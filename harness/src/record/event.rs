//! The events of a run.

use std::fmt;
use std::path::PathBuf;

use perfsec_wire::{BootMode, Coverage, Facts, Observation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::case::Coordinates;
use crate::config::{self, ConfiguredOption};
use crate::host::OsRelease;
use crate::judge::{Judgement, Verdict};
use crate::kernel::Kernel;
use crate::machines::{Blame, End, Machinery, MemoryDump};
use crate::plan::Filter;
use crate::policy::{AccessVector, PolicyChanges};

/// Version of the format; readers refuse any other.
pub const FORMAT: u32 = 13;

/// One line of a run record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Run(RunStarted),
    /// A lane begins: a kernel under a policy.
    Lane(Box<LaneStarted>),
    /// A boot of a lane is ready for its first cell. Several boots of a lane can be alive at once.
    Ready(LaneReady),
    /// The answers of a policy in a lane.
    Answers(LaneAnswers),
    /// A cell is over.
    Cell(Box<CellResult>),
    /// Coverage of a boot, in a run that measures it.
    Coverage(BootCoverage),
    /// A boot ended before all of its cells had run.
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
    /// Time of the start, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// Command line of perfsec, with the options that files of defaults set.
    pub command: Vec<String>,
    /// The options of the command line that files of defaults set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured: Vec<ConfiguredOption>,
    /// SHA-256 of the agent, in hex.
    pub agent: String,
    /// Operating system of the host.
    pub host: String,
    /// The cells that were asked for.
    pub asked: Selection,
    /// Number of cells, over all lanes.
    pub cells: usize,
}

/// The choice of the cells of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Asked")]
pub struct Selection {
    /// SHA-256 of all cases, before the filter, in hex.
    pub cases_sha256: String,
    /// Directory of the cases; absent for the cases built into perfsec.
    pub cases_directory: Option<PathBuf>,
    /// Filter on the cells of these cases.
    pub filter: Filter,
    /// The command line of the first of the runs that this one completes, in a run that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completes: Option<Vec<String>>,
}

impl Selection {
    /// True if all cells of these cases were asked for: no filter, and no shard.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.filter == Filter::default()
    }
}

impl RunStarted {
    /// The first event of a run that starts now, by this perfsec.
    #[must_use]
    pub fn now(cells: usize, asked: Selection) -> Self {
        Self {
            format: FORMAT,
            perfsec: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            command: config::command_line(),
            configured: config::noted().to_vec(),
            agent: crate::hex(&Sha256::digest(crate::AGENT)),
            host: OsRelease::detect().name(),
            asked,
            cells,
        }
    }
}

/// A lane begins: a kernel under a policy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneStarted {
    /// Number of the lane in this run, from 0.
    pub lane: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// Boot mode of the kernel.
    pub boot: BootMode,
    /// Name of the policy; cells may ask for another.
    pub policy: String,
    /// The changes to the policy; absent if there are none.
    #[serde(default, skip_serializing_if = "PolicyChanges::is_empty")]
    pub policy_changes: PolicyChanges,
    /// SHA-256 of the binary policy, in hex.
    pub policy_sha256: String,
    /// The machine that runs it.
    pub machinery: Machinery,
    /// Number of its cells.
    pub cells: usize,
}

impl LaneStarted {
    /// The policy's name, with the changes to it.
    #[must_use]
    pub fn policy_text(&self) -> String {
        let (policy, changes) = (&self.policy, &self.policy_changes);
        if changes.is_empty() { policy.clone() } else { format!("{policy} ({changes})") }
    }
}

/// A boot, or a snapshot of one, is ready for its first cell.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneReady {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in the lane, from 0.
    pub boot: usize,
    /// Milliseconds from start to ready, on the host's clock.
    pub millis: u64,
    /// True if the guest was restored from a snapshot of an earlier boot.
    #[serde(default)]
    pub restored: bool,
    /// State of the machine as the agent read it back.
    pub facts: Box<Facts>,
}

/// The answers of a policy that a kernel has loaded.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneAnswers {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in the lane, from 0.
    pub boot: usize,
    /// Number of the cell that asked.
    pub number: usize,
    /// Name of the policy.
    pub policy: String,
    /// The context of the agent, the target `kernel_t` of the answers.
    #[serde(default)]
    pub agent: String,
    /// Contexts that the kernel writes in another way, with that: their types are aliases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<(String, String)>,
    /// True if classes and permissions that it does not define are allowed.
    pub allows_unknown: bool,
    /// The answers: one line for each pair of types and class.
    pub vectors: Vec<AccessVector>,
}

/// Result of a cell.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CellResult {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in which it ran.
    pub boot: usize,
    /// Number of the cell in its lane, from 0. A repeated cell has a number for each repetition.
    pub number: usize,
    /// Its full name.
    pub name: String,
    /// Name of its case.
    pub case: String,
    /// Title of the case.
    pub title: String,
    /// The case file.
    pub path: PathBuf,
    /// Line of the file in which its expectation begins.
    pub line: usize,
    /// The documents, commits and source lines that promise what is expected.
    pub source: Vec<String>,
    /// First digits of the SHA-256 of the case file, in hex: equal in two runs of the same case.
    pub case_sha256: String,
    /// Reasons that the case gives for what it expects of this kernel in particular: those of the
    /// conditions on the kernel that hold here and that lines of the expectation depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Coordinates of the cell within its case.
    pub at: Coordinates,
    /// The judgement.
    pub judgement: Judgement,
    /// The agent's observation, if the cell ran.
    pub observation: Option<Observation>,
}

/// Coverage of the cells of a boot.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BootCoverage {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in the lane, from 0.
    pub boot: usize,
    /// The functions of the kernel that asked the security modules, and the answers.
    pub coverage: Box<Coverage>,
}

/// A boot ended before all of its cells had run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Death {
    /// The lane.
    pub lane: usize,
    /// Number of the boot in the lane, from 0.
    pub boot: usize,
    /// The end of the machine.
    pub end: End,
    /// Cause of death, in one line.
    pub cause: String,
    /// Whose fault it is; absent if it is the kernel's.
    #[serde(default, skip_serializing_if = "Blame::is_kernel")]
    pub blame: Blame,
    /// Name of the cell that ran, if any.
    pub cell: Option<String>,
    /// The console; only its end if it is long.
    pub console: String,
    /// The guest's memory, if the user wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryDump>,
}

impl Death {
    /// The end of the machine, as far as the cause does not say it.
    #[must_use]
    pub fn ending(&self) -> Option<String> {
        match &self.end {
            End::Crashed { detail, said } if self.cause.contains(detail) => {
                Some(said.clone()).filter(|said| !said.is_empty())
            }
            end => Some(end.to_string()),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        self.ending().map_or(Ok(()), |ending| write!(f, " ({ending})"))
    }
}

/// A lane is over.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LaneEnded {
    /// The lane.
    pub lane: usize,
    /// Number of boots.
    pub boots: usize,
    /// Milliseconds from the first boot to the last power-off, on the host's clock.
    pub millis: u64,
    /// Set if nothing could be tested.
    pub refused: Option<LaneRefusal>,
}

/// A lane in which nothing could be tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Refused")]
pub struct LaneRefusal {
    /// Reason, and what to do about it.
    pub reason: String,
    /// The console; only its end if it is long.
    pub console: String,
}

/// The last event.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunEnded {
    /// Number of cells by verdict.
    pub counts: Vec<(Verdict, usize)>,
    /// True if the user stopped it.
    pub interrupted: bool,
    /// Milliseconds that it took.
    pub millis: u64,
}
