//! What the host asks of an agent: one boot's worth of cells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::caps::CapSet;
use crate::step::{Execve, ProcessName, Step};

/// Everything an agent is told. It has no policy of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// [`PROTOCOL`](crate::PROTOCOL) of the host that wrote it.
    pub protocol: u32,
    /// What the kernel was booted as, and so what must be there.
    pub boot: BootMode,
    /// Name of the policy to load at first, one of the files below
    /// [`POLICIES`](crate::paths::POLICIES); none for a boot without one.
    pub policy: Option<String>,
    /// What to do once the lane is ready.
    pub job: Job,
    /// Which places of the kernel are to be told, seen or not, in [`Message::Coverage`](crate::Message):
    /// the functions with these names, and every one that asks for CAP_PERFMON or a perf hook.
    /// Without it nothing more is traced than observations need.
    pub coverage: Option<Vec<String>>,
}

/// A way to boot a kernel: what its command line turns on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// SELinux with a policy, audit on from the first task.
    #[default]
    Selinux,
    /// SELinux, and no policy is loaded.
    NoPolicy,
    /// Another security module in SELinux's place.
    NoSelinux,
    /// SELinux with a policy, and `audit=0`.
    NoAudit,
    /// SELinux with a policy, and nothing that ever enabled audit: no task has an audit context.
    AuditUnset,
    /// The same, and one cell enables audit: the tasks that are there have no audit context.
    AuditLate,
    /// SELinux with a policy, audit on, and `no_file_caps`.
    NoFileCaps,
}

impl BootMode {
    /// All, the usual one first.
    pub const ALL: [Self; 7] = [
        Self::Selinux,
        Self::NoPolicy,
        Self::NoSelinux,
        Self::NoAudit,
        Self::AuditUnset,
        Self::AuditLate,
        Self::NoFileCaps,
    ];

    /// Whether a policy is loaded, so that there is a mode and there are domains.
    #[must_use]
    pub fn has_policy(self) -> bool {
        !matches!(self, Self::NoPolicy | Self::NoSelinux)
    }

    /// Whether the kernel writes audit records.
    #[must_use]
    pub fn has_audit(self) -> bool {
        self != Self::NoAudit
    }

    /// Whether audit is enabled from the first task on.
    #[must_use]
    pub fn enables_audit(self) -> bool {
        !matches!(self, Self::NoAudit | Self::AuditUnset | Self::AuditLate)
    }
}

impl fmt::Display for BootMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Selinux => "selinux",
            Self::NoPolicy => "no-policy",
            Self::NoSelinux => "no-selinux",
            Self::NoAudit => "no-audit",
            Self::AuditUnset => "audit-unset",
            Self::AuditLate => "audit-late",
            Self::NoFileCaps => "no-file-caps",
        })
    }
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
    /// Name of the policy that must be loaded; none where none is.
    pub policy: Option<String>,
    /// Whether audit is enabled while the steps run (`AUDIT_SET`, `enabled`).
    pub audit: bool,
    /// The lockdown that must be in force; it can only be raised.
    pub lockdown: Lockdown,
    /// Values to write before the steps, as paths below `/proc/sys` with dots (`kernel.perf_event_paranoid`).
    /// Every sysctl that any earlier cell wrote is put back to its boot value first.
    pub sysctls: Vec<(String, String)>,
    /// Who performs the steps.
    pub subject: Subject,
    /// Processes that have performed their own steps and stand still while the subject performs its.
    pub processes: Vec<Process>,
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
    /// Empty where no policy is loaded.
    pub context: String,
    /// Name of its executable, hence its `comm` (at most 15 bytes).
    pub comm: String,
}

impl Subject {
    /// What its executable carries.
    #[must_use]
    pub fn file(&self) -> Execve {
        Execve::granted(self.grant)
    }

    /// The subject's context with another type: what `setexeccon` writes.
    #[must_use]
    pub fn context_in(&self, domain: &str) -> String {
        let mut parts: Vec<_> = self.context.splitn(4, ':').collect();
        if let Some(part) = parts.get_mut(2) {
            *part = domain;
        }
        parts.join(":")
    }
}

/// Another process of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What steps call it.
    pub name: ProcessName,
    /// Who it is.
    pub subject: Subject,
    /// What it does before it stands still. Not observed, but all must succeed.
    pub steps: Vec<Step>,
}

/// How much the kernel keeps from root (`kernel_lockdown(7)`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Lockdown {
    /// Nothing.
    #[default]
    None,
    /// What would let it change the kernel.
    Integrity,
    /// And what would let it read the kernel.
    Confidentiality,
}

impl fmt::Display for Lockdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Integrity => "integrity",
            Self::Confidentiality => "confidentiality",
        })
    }
}

/// SELinux mode while a cell's steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Denials are logged and let through.
    Permissive,
    /// Denials are logged and refused.
    Enforcing,
    /// SELinux decides nothing: it has no policy, or it is not there.
    Disabled,
}

impl Mode {
    /// The modes of a kernel with a policy, in the order in which people read them.
    pub const ALL: [Self; 2] = [Self::Permissive, Self::Enforcing];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Permissive => "permissive",
            Self::Enforcing => "enforcing",
            Self::Disabled => "disabled",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "permissive" => Ok(Self::Permissive),
            "enforcing" => Ok(Self::Enforcing),
            "disabled" => Ok(Self::Disabled),
            _ => {
                Err(format!("unknown mode `{text}`: one of `permissive`, `enforcing`, `disabled`"))
            }
        }
    }
}
