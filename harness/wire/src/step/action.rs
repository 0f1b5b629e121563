//! Actions of the agent between two steps of a subject.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ProcessName, Syscall};

/// An action that takes privilege, or that the subject must not perform itself. The agent restores
/// everything at the end of the cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Action {
    /// Writes a file of the kernel; the agent restores its content afterwards.
    Write(WriteFile),
    /// Loads a policy by name. SELinux's messages about it are part of the transcript if the case
    /// lists them in `messages`.
    LoadPolicy(String),
    /// Sets a boolean of the policy and commits it.
    Boolean(Boolean),
    /// Kills a process of the case and reaps it.
    Kill(ProcessName),
    /// Loads an audit rule that matches nothing (`exit,always` on an impossible key). Before 6.1
    /// a syscall with an AVC record gets a SYSCALL record only if the kernel has a rule.
    AuditRule,
    /// Enables audit, in the last cell of a boot `audit-unset`: it cannot be undone, as every task
    /// forked later has an audit context.
    AuditEnable,
    /// Sets how many audit records may wait for the agent; the kernel drops those beyond.
    AuditBacklog(u32),
}

/// A file and its new content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WriteFile {
    /// The path, below `/proc/sys`, `/sys/fs/selinux` or `/sys/kernel/security`.
    pub path: String,
    /// The text to write, in one `write(2)`.
    pub text: String,
}

/// A boolean of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Boolean {
    /// Its name.
    pub name: String,
    /// Its new value.
    pub value: bool,
}

impl Syscall for Action {
    fn name(&self) -> &'static str {
        match self {
            Self::Write(_) => "agent: write",
            Self::LoadPolicy(_) => "agent: load_policy",
            Self::Boolean(_) => "agent: setsebool",
            Self::Kill(_) => "agent: kill",
            Self::AuditRule => "agent: audit_rule",
            Self::AuditEnable => "agent: audit_enable",
            Self::AuditBacklog(_) => "agent: audit_backlog",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(write) => write!(f, "{:?}, {:?}", write.path, write.text),
            Self::LoadPolicy(name) | Self::Kill(name) => f.write_str(name),
            Self::Boolean(boolean) => write!(f, "{}, {}", boolean.name, u8::from(boolean.value)),
            Self::AuditRule | Self::AuditEnable => Ok(()),
            Self::AuditBacklog(limit) => limit.fmt(f),
        }
    }
}
