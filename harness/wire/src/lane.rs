//! A lane, the guests that serve it, and their cells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::answers::Question;
use crate::caps::CapSet;
use crate::step::{Execve, ProcessName, Step};

/// How an agent prepares its guest, before the first [`Order`](crate::Order). It names neither a
/// lane nor a cell, so a snapshot of a prepared guest serves every lane with the same kernel and
/// parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// [`PROTOCOL`](crate::PROTOCOL) of the host that wrote it.
    pub protocol: u32,
    /// Functions whose checks [`Message::Coverage`](crate::Message) must list even if no cell
    /// reaches them; those that check CAP_PERFMON or a perf hook are always listed. `None` traces
    /// only what observations need.
    pub coverage: Option<Vec<String>>,
}

/// The lane that a prepared guest joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The boot mode of the kernel: the agent refuses the lane if the kernel lacks what it needs.
    pub boot: BootMode,
    /// The first policy; `None` in a boot without a policy.
    pub policy: Option<LanePolicy>,
}

/// The first policy of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LanePolicy {
    /// The agent loads the file of this name below [`POLICIES`](crate::paths::POLICIES).
    Load(String),
    /// The machine's own system has loaded it, and the agent loads none. Cells call it by this name.
    Loaded(String),
}

/// A way to boot a kernel, by its command line and by what the agent sets up.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// SELinux with a policy, audit on before the first subject.
    #[default]
    Selinux,
    /// SELinux without a policy.
    NoPolicy,
    /// Another security module instead of SELinux.
    NoSelinux,
    /// SELinux with a policy, and `audit=0`.
    NoAudit,
    /// SELinux with a policy; audit was never enabled, so no task has an audit context. A cell may
    /// enable it, as the last of its boot.
    AuditUnset,
    /// SELinux with a policy, audit on, and `no_file_caps`.
    NoFileCaps,
}

impl BootMode {
    /// All modes, the default first.
    pub const ALL: [Self; 6] = [
        Self::Selinux,
        Self::NoPolicy,
        Self::NoSelinux,
        Self::NoAudit,
        Self::AuditUnset,
        Self::NoFileCaps,
    ];

    /// True if a policy is loaded: without one there are no modes and no domains.
    #[must_use]
    pub fn has_policy(self) -> bool {
        !matches!(self, Self::NoPolicy | Self::NoSelinux)
    }

    /// True if the kernel writes audit records.
    #[must_use]
    pub fn has_audit(self) -> bool {
        self != Self::NoAudit
    }

    /// True if the agent enables audit, so that every subject has an audit context.
    #[must_use]
    pub fn enables_audit(self) -> bool {
        !matches!(self, Self::NoAudit | Self::AuditUnset)
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
            Self::NoFileCaps => "no-file-caps",
        })
    }
}

/// One cell, with every name resolved that the host can resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The host's number for the cell, repeated in every message about it.
    pub id: u32,
    /// SELinux mode while the steps run.
    pub mode: Mode,
    /// Name of the policy that must be loaded; `None` in a boot without a policy.
    pub policy: Option<String>,
    /// True to enable audit while the steps run (`AUDIT_SET`, `enabled`).
    pub audit: bool,
    /// Lockdown while the steps run; it can only be raised.
    pub lockdown: Lockdown,
    /// Sysctls to write before the steps, named as in sysctl(8) (`kernel.perf_event_paranoid`).
    /// Every sysctl that an earlier cell wrote is first restored to its boot value.
    pub sysctls: Vec<(String, String)>,
    /// The process that performs the steps.
    pub subject: Subject,
    /// Processes that have performed their own steps, and are stopped while the subject runs.
    pub processes: Vec<Process>,
    /// Steps that the agent performs before it starts the subject, which inherits their file
    /// descriptors across exec. They are not observed, but must succeed.
    pub given: Vec<Step>,
    /// The steps, one syscall each.
    pub steps: Vec<Step>,
    /// Questions to the policy. If there are any, the agent only asks them: no process starts.
    pub questions: Vec<Question>,
    /// Time limit of the subject in milliseconds, after which the agent kills it.
    pub limit_ms: u32,
}

/// The process that performs a cell's steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Real, effective and saved user and group id.
    pub uid: u32,
    /// File capabilities of its executable, permitted and effective.
    pub grant: CapSet,
    /// The SELinux context that it enters at exec, written to `/proc/self/attr/exec`. No earlier
    /// cell of the boot may have used it, because a permissive denial is logged once per context.
    /// Empty in a boot without a policy.
    pub context: String,
    /// Name of its executable, which is its `comm` (at most 15 bytes).
    pub comm: String,
}

impl Subject {
    /// Its executable, with its privileges.
    #[must_use]
    pub fn file(&self) -> Execve {
        Execve::granted(self.grant)
    }

    /// The subject's context with another type, as `setexeccon` writes it.
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
    /// The name that steps use for it.
    pub name: ProcessName,
    /// Its credentials and executable.
    pub subject: Subject,
    /// The steps that it performs before it stops. They are not observed, but must succeed.
    pub steps: Vec<Step>,
}

/// Kernel lockdown (`kernel_lockdown(7)`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Lockdown {
    /// Root may do everything.
    #[default]
    None,
    /// Root may not change the running kernel.
    Integrity,
    /// Root may neither change nor read the running kernel.
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
    /// SELinux logs denials and allows the access.
    Permissive,
    /// SELinux logs denials and refuses the access.
    Enforcing,
    /// SELinux has no policy, or the kernel has no SELinux.
    Disabled,
}

impl Mode {
    /// The modes of a kernel with a policy, in the order of reports.
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
