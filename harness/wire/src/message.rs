//! Messages from the agent to the host.

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::machine::MachineFacts;
use crate::observation::CellOutcome;
use crate::terminal::Typed;

/// A message. The variants are in the order in which a healthy lane sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The agent runs; sent before anything that may fail.
    Hello {
        /// [`PROTOCOL`](crate::PROTOCOL) of the agent.
        protocol: u32,
        /// Kernel release, as in `uname -r`.
        release: String,
    },
    /// The guest is prepared, and the agent waits for [`Order::Begin`](crate::Order). A snapshot may
    /// be taken here: an agent that is restored goes on as if it had never stopped.
    Parked,
    /// The last message on the serial port: the following ones come through the
    /// [`window`](crate::window), in a new stream of frames. Only the reader of the channel needs
    /// it.
    Moved,
    /// The kernel or the lane lacks something that every cell needs; no cell will run.
    Refused(Refusal),
    /// `/proc/config.gz`, if the host asks for it and the kernel has it.
    KernelConfig(Vec<u8>),
    /// The guest was read back, and the agent waits for cells.
    Ready {
        /// The nonce of [`Order::Begin`](crate::Order): these facts are not of an earlier run.
        nonce: u64,
        /// The guest, as the agent read it back after the order.
        facts: Box<Facts>,
    },
    /// The set-up of a cell begins: from now on the cell is blamed.
    Started(u32),
    /// A cell ended.
    Finished(u32, CellOutcome),
    /// The cells of the last order have run, and the agent waits for the next order.
    Idle,
    /// A command was typed and has ended, and the agent waits for the next order.
    Typed(Typed),
    /// Coverage of the cells of this boot, if the lane asks for it.
    Coverage(Box<Coverage>),
    /// The host ordered the end, or the shell has ended; the guest is about to power off.
    Done,
}

/// The longest `/proc/config.gz` that an agent sends, in bytes; a distribution's has about 70 KiB.
pub const MAX_CONFIG: usize = 512 << 10;

/// The reason why no cell of the lane can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The kernel has no SELinux, or the command line disables it or selects another module.
    NoSelinux {
        /// `/sys/kernel/security/lsm`, empty if unreadable.
        lsm: String,
    },
    /// The kernel has no audit, or audit is off.
    NoAudit {
        /// The error of the audit socket, or the status that differs.
        detail: String,
    },
    /// The kernel has no perf events.
    NoPerf,
    /// The kernel rejected the policy.
    PolicyRejected {
        /// The error number of the write to `/sys/fs/selinux/load`.
        errno: i32,
        /// SELinux's messages in the kernel log.
        messages: Vec<String>,
    },
    /// Another part of the set-up failed.
    Setup {
        /// The failed action, as a fragment that fits after "could not".
        doing: String,
        /// The error number, or 0.
        errno: i32,
    },
}

/// Facts that the agent read back before the first cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Facts {
    /// `uname -r`
    pub release: String,
    /// `/proc/version`
    pub version: String,
    /// `/proc/cmdline`
    pub cmdline: String,
    /// `/sys/kernel/security/lsm`
    pub lsm: Vec<String>,
    /// The machine that the kernel runs on.
    #[serde(default)]
    pub machine: MachineFacts,
    /// State of SELinux and its policy.
    pub selinux: SelinuxFacts,
    /// State of audit.
    pub audit: AuditFacts,
    /// Boot values of the sysctls that cells change or results depend on.
    pub sysctls: Vec<(String, String)>,
    /// The reason why capability checks cannot be traced on this kernel; `None` if they can.
    pub caps_unseen: Option<String>,
    /// The probes that trace capability checks, for display:
    /// `kprobe security_capable, tracepoint cap_capable`.
    pub caps_means: String,
    /// The channel of messages, for display: `shared memory`, or the serial port and the reason.
    pub channel: String,
    /// SELinux's messages in the kernel log while the policy was loaded.
    pub policy_messages: Vec<String>,
    /// Time since boot when the agent started and when it was ready, in milliseconds.
    pub uptime_ms: (u32, u32),
}

/// `/sys/fs/selinux`, read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SelinuxFacts {
    /// `enforce`
    pub enforcing: bool,
    /// `policyvers`: the newest binary format that the kernel reads.
    pub policyvers: u32,
    /// `mls`
    pub mls: bool,
    /// `deny_unknown`
    pub deny_unknown: bool,
    /// `reject_unknown`
    pub reject_unknown: bool,
    /// Permissions of the classes that cases are about, from `class/NAME/perms`: `perf_event`,
    /// `capability2`, `bpf` and others. A class that the policy lacks is missing here.
    pub classes: Vec<(String, Vec<String>)>,
}

/// `AUDIT_GET`, read back (`struct audit_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditFacts {
    /// 1 if audit is enabled, else 0.
    pub enabled: u32,
    /// Pid of the audit daemon.
    pub pid: u32,
    /// Records per second, 0 is unlimited.
    pub rate_limit: u32,
    /// Queue length beyond which the kernel drops records.
    pub backlog_limit: u32,
    /// Records lost since boot.
    pub lost: u32,
    /// The way in which the agent gets records.
    #[serde(default)]
    pub means: AuditMeans,
}

/// A way to get audit records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AuditMeans {
    /// The agent is the audit daemon; the kernel takes one.
    #[default]
    Daemon,
    /// Another daemon (auditd) runs, and the agent listens to the multicast group
    /// `AUDIT_NLGRP_READLOG`. The kernel drops records for a listener that is too slow, and tells
    /// it so.
    Multicast,
}
