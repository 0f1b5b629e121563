//! What runs a kernel. Nothing above this module knows what QEMU is.

pub mod fake;
pub mod qemu;
mod setup;

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::Sender;

use perfsec_wire::{Boot, Job, Lane, Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan;
use crate::policy::Policies;

pub use setup::{MachineSetup, Machines, PROGRAM};

/// Something that boots the kernel under test with our agent on it.
pub trait Target: Send + Sync {
    /// Boots once. What happens is sent to `sink`, until [`Incident::Ended`] or the guest is dropped.
    ///
    /// # Errors
    ///
    /// When the machinery, not the kernel, is at fault.
    fn boot(&self, load: &Load, sink: Sender<Incident>) -> Result<Box<dyn Guest>, TargetError>;

    /// The machinery and what accelerates it, for the run record.
    fn describe(&self) -> Machinery;
}

/// A booted machine. Dropping it ends it and leaves nothing behind.
pub trait Guest {
    /// Ends it at once; [`Incident::Ended`] follows.
    fn kill(&mut self);
}

/// What a boot is given besides the kernel.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the agent is told.
    pub lane: Lane,
    /// Binary policies by the name that the agent finds them under.
    pub policies: Vec<(String, Vec<u8>)>,
}

impl Load {
    /// What a boot is given for a job.
    #[must_use]
    pub fn new(boot: Boot, policies: &Policies, job: Job) -> Self {
        let binaries = policies.iter().map(|policy| (policy.file_name(), policy.binary.clone()));
        let lane = plan::lane(boot, &policies.own, job);
        Self { lane, policies: if boot.has_policy() { binaries.collect() } else { Vec::new() } }
    }
}

/// Something that happened to a booted machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The agent said something.
    Message(Message),
    /// The kernel printed something.
    Console(Vec<u8>),
    /// The agent's channel ended: why, when it did not simply close.
    Silence(Option<String>),
    /// The machine is gone.
    Ended(End),
    /// The user wants the run to stop.
    Interrupted,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The guest powered off.
    PoweredOff,
    /// The guest rebooted, which `panic=-1` also makes a panic do.
    Rebooted,
    /// The machine itself failed.
    Crashed {
        /// How, in its own words.
        detail: String,
    },
    /// We ended it.
    Killed,
}

/// The machinery that runs a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machinery {
    /// `QEMU emulator version 7.2.22`
    pub machine: String,
    /// `tcg` or `kvm`.
    pub accel: String,
    /// The kernel's command line.
    pub parameters: String,
}

/// The machinery failed: the kernel under test is not to blame.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// QEMU.
    #[error(transparent)]
    Qemu(#[from] perfsec_qemu::Error),
    /// The machine's program cannot be started.
    #[error("run {program} (`perfsec doctor` says how to install it)", program = .program.display())]
    NoProgram {
        /// Which.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The machine's program starts and does not even tell its version.
    #[error("run {program}: it says {said:?}", program = .program.display())]
    BadProgram {
        /// Which.
        program: PathBuf,
        /// Its own words.
        said: String,
    },
    /// The cache directory.
    #[error(transparent)]
    Cache(#[from] crate::cache::CacheError),
    /// Something that a boot needs could not be made.
    #[error("{doing}")]
    Host {
        /// What.
        doing: String,
        /// Why.
        source: std::io::Error,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("powered off"),
            Self::Rebooted => f.write_str("rebooted"),
            Self::Crashed { detail } => write!(f, "the machine failed: {detail}"),
            Self::Killed => f.write_str("killed by perfsec"),
        }
    }
}
