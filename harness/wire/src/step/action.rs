//! Actions of the agent between two steps of a subject.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ProcessName, ResultForm, Syscall};
use crate::named::named;

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
    /// Loads an audit rule, `exit,always`.
    AuditRule(AuditRule),
    /// Loads an audit rule, `exclude,always`: the kernel logs no record of this type.
    AuditExclude(Excluded),
    /// Enables audit, in the last cell of a boot `audit-unset`: it cannot be undone, as every task
    /// forked later has an audit context.
    AuditEnable,
    /// Reads the parameters that audit had when the kernel booted, before the agent changed them
    /// (`AUDIT_GET`).
    AuditGet,
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

/// A rule of audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditRule {
    /// The syscall that it matches. Without one it matches nothing: before 5.11, a syscall with an
    /// AVC record gets a SYSCALL record only if the kernel has a rule.
    #[serde(default)]
    pub syscall: Option<RuleSyscall>,
    /// A path that it watches; its directory must exist. When the directory goes, the kernel removes
    /// the rule and logs CONFIG_CHANGE.
    #[serde(default)]
    pub watch: Option<String>,
    /// The key of the records.
    #[serde(default)]
    pub key: Option<String>,
}

named! {
    /// A type of audit record, by its name in `ausearch -m`.
    Excluded is "type of record to exclude" {
        /// A refusal of SELinux.
        Avc = "AVC",
        /// The file capabilities of an exec.
        BprmFcaps = "BPRM_FCAPS",
        /// The new sets of a `capset(2)`.
        Capset = "CAPSET",
        /// The working directory.
        Cwd = "CWD",
        /// The end of an event.
        Eoe = "EOE",
        /// The arguments of an exec.
        Execve = "EXECVE",
        /// A path that the syscall looked up.
        Path = "PATH",
        /// The process's command line.
        Proctitle = "PROCTITLE",
        /// The syscall; without it, its event has no other record of `audit_log_exit()`.
        Syscall = "SYSCALL",
    }
}

named! {
    /// A syscall of a rule, by the name of its step.
    RuleSyscall is "syscall of an audit rule" {
        /// `bpf(2)`
        Bpf = "bpf",
        /// `capset(2)`
        Capset = "capset",
        /// `clone(2)`
        Clone = "clone",
        /// `close(2)`
        Close = "close",
        /// `execve(2)`
        Execve = "execve",
        /// `ioctl(2)`
        Ioctl = "ioctl",
        /// `mmap(2)`
        Mmap = "mmap",
        /// `perf_event_open(2)`
        PerfEventOpen = "perf_event_open",
        /// `prctl(2)`
        Prctl = "prctl",
        /// `read(2)`
        Read = "read",
        /// `setfsuid(2)`
        Setfsuid = "setfsuid",
        /// `setresuid(2)`
        Setresuid = "setresuid",
        /// `unshare(2)`
        Unshare = "unshare",
    }
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
            Self::AuditRule(_) => "agent: audit_rule",
            Self::AuditExclude(_) => "agent: audit_exclude",
            Self::AuditEnable => "agent: audit_enable",
            Self::AuditGet => "agent: audit_get",
            Self::AuditBacklog(_) => "agent: audit_backlog",
        }
    }

    fn result_form(&self) -> ResultForm<'_> {
        match self {
            Self::AuditGet => ResultForm::Text,
            _ => ResultForm::Number,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(write) => write!(f, "{:?}, {:?}", write.path, write.text),
            Self::LoadPolicy(name) | Self::Kill(name) => f.write_str(name),
            Self::Boolean(boolean) => write!(f, "{}, {}", boolean.name, u8::from(boolean.value)),
            Self::AuditRule(rule) => {
                let parts = [
                    rule.syscall.map(|syscall| syscall.to_string()),
                    rule.watch.as_ref().map(|path| format!("watch={path:?}")),
                    rule.key.as_ref().map(|key| format!("key={key:?}")),
                ];
                f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            Self::AuditExclude(kind) => kind.fmt(f),
            Self::AuditEnable | Self::AuditGet => Ok(()),
            Self::AuditBacklog(limit) => limit.fmt(f),
        }
    }
}
