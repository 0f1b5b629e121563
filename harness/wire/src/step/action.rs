//! What the agent does between two steps of a subject, which stands still meanwhile.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProcessName;

/// Something that takes privilege, or that the subject must not do itself. Everything is put back when
/// the cell is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Action {
    /// Writes a file of the kernel, whose old content is put back.
    Write(WriteFile),
    /// Loads a policy by name. What SELinux says about it, as far as the case names it in
    /// `messages`, is part of the transcript.
    LoadPolicy(String),
    /// Sets a boolean of the policy and commits it.
    Boolean(Boolean),
    /// Kills a process of the case and waits until it is gone.
    Kill(ProcessName),
    /// Loads an audit rule that matches nothing (`exit,always` on an impossible key), so that the kernel
    /// has one: before 6.1 only then does a syscall with an AVC record get a SYSCALL record.
    AuditRule,
    /// Enables audit, in a boot `audit-late`. It cannot be put back: every task that is forked later has an
    /// audit context.
    AuditEnable,
    /// Sets how many audit records may wait for the agent: beyond that the kernel loses them.
    AuditBacklog(u32),
}

/// A file and what to write into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WriteFile {
    /// The path, below `/proc/sys`, `/sys/fs/selinux` or `/sys/kernel/security`.
    pub path: String,
    /// What to write, in one piece.
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

impl Action {
    /// What it is called in a transcript.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::LoadPolicy(_) => "load_policy",
            Self::Boolean(_) => "setsebool",
            Self::Kill(_) => "kill",
            Self::AuditRule => "audit_rule",
            Self::AuditEnable => "audit_enable",
            Self::AuditBacklog(_) => "audit_backlog",
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
