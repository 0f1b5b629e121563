//! What the host asks of an agent: one boot's worth of cells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::caps::CapSet;
use crate::step::Step;

/// Everything an agent is told. It has no policy of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// [`PROTOCOL`](crate::PROTOCOL) of the host that wrote it.
    pub protocol: u32,
    /// What to do once the lane is ready.
    pub job: Job,
    /// Which places of the kernel are to be told, seen or not, in [`Message::Coverage`](crate::Message):
    /// the functions with these names, and every one that asks for CAP_PERFMON or a perf hook.
    /// Without it nothing more is traced than observations need.
    pub coverage: Option<Vec<String>>,
}

/// What a lane is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Run these cells in this order, then power off.
    Cells(Vec<Cell>),
    /// Give a shell on the console, then power off.
    Shell,
}

/// One cell, with everything in it concrete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The host's number for it, repeated in every message about it.
    pub id: u32,
    /// How SELinux is set while the steps run.
    pub mode: Mode,
    /// Values to write before the steps, as paths below `/proc/sys` with dots (`kernel.perf_event_paranoid`).
    /// Every sysctl that any earlier cell wrote is put back to its boot value first.
    pub sysctls: Vec<(String, String)>,
    /// Who performs the steps.
    pub subject: Subject,
    /// Steps that the agent itself performs before it becomes the subject; the subject inherits
    /// their file descriptors across exec. They are not observed, but they must succeed.
    pub given: Vec<Step>,
    /// The steps, one syscall each.
    pub steps: Vec<Step>,
    /// How long the subject may take, in milliseconds, before it is killed and the cell given up.
    pub limit_ms: u32,
}

/// The process that performs a cell's steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Real, effective and saved user and group id.
    pub uid: u32,
    /// File capabilities on its executable, permitted and effective.
    pub grant: CapSet,
    /// The SELinux context that it enters at exec, written to `/proc/self/attr/exec`; must be one
    /// that no earlier cell of the boot used, because a permissive denial is logged once per context.
    pub context: String,
    /// Name of its executable, hence its `comm` (at most 15 bytes).
    pub comm: String,
}

/// SELinux mode while a cell's steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Denials are logged and let through.
    Permissive,
    /// Denials are logged and refused.
    Enforcing,
}

impl Mode {
    /// Both, in the order in which people read them.
    pub const ALL: [Self; 2] = [Self::Permissive, Self::Enforcing];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Permissive => "permissive",
            Self::Enforcing => "enforcing",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "permissive" => Ok(Self::Permissive),
            "enforcing" => Ok(Self::Enforcing),
            _ => Err(format!("unknown mode `{text}`: one of `permissive`, `enforcing`")),
        }
    }
}
