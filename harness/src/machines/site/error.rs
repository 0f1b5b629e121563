//! Failures around a kernel under test, by phase.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::SiteName;

/// A phase of a machine's life around a kernel under test. None of them is the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The machine is leased.
    Reserve,
    /// The console is opened, or lost.
    Console,
    /// The machine's own system is reached over ssh.
    Network,
    /// A kernel is loaded by kexec.
    Load,
    /// A kernel is started by kexec, and gives no sign.
    Kexec,
    /// The next boot is armed or cleared, by the site's commands.
    Arm,
    /// A kernel is booted through the firmware, and gives no sign.
    Boot,
    /// A known good kernel is started, to show that the machine can.
    Control,
    /// The machine's power is switched.
    Power,
    /// The machine returns through its firmware to its own system.
    System,
    /// The user wants perfsec to stop.
    Interrupt,
}

impl Phase {
    /// True if a machine that failed in it is broken. Before the machine was touched, its network
    /// can fail for reasons that pass.
    #[must_use]
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Reserve | Self::Network | Self::Interrupt)
    }
}

/// A failure of a machine, or of what reaches it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use the machine `{machine}`: {phase}: {reason}")]
pub struct SiteError {
    /// The machine.
    pub machine: SiteName,
    /// The phase.
    pub phase: Phase,
    /// The reason, as a clause.
    pub reason: String,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reserve => "reserve",
            Self::Console => "console",
            Self::Network => "network",
            Self::Load => "load",
            Self::Kexec => "kexec",
            Self::Arm => "arm",
            Self::Boot => "boot",
            Self::Control => "known good kernel",
            Self::Power => "power",
            Self::System => "own system",
            Self::Interrupt => "interrupted",
        })
    }
}
