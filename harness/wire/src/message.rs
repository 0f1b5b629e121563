//! What an agent says.

use serde::{Deserialize, Serialize};

use crate::coverage::Coverage;
use crate::observation::Outcome;

/// One message, in the order in which a healthy lane sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The agent runs. Sent before anything that may fail.
    Hello {
        /// [`PROTOCOL`](crate::PROTOCOL) of the agent.
        protocol: u32,
        /// `uname -r`
        release: String,
    },
    /// The last message on the serial port: the next come through the [`window`](crate::window), in a
    /// stream of frames of their own. For whoever reads the channel, and of no meaning beyond that.
    Moved,
    /// The kernel or the lane lacks something that every cell needs; nothing will be run.
    Refused(Refusal),
    /// Set-up is complete and read back. A snapshot may be taken here.
    Ready(Box<Facts>),
    /// A cell is about to be set up: whatever happens now is its doing.
    Started(u32),
    /// A cell is over.
    Finished(u32, Outcome),
    /// What the cells of this boot covered, if the lane asks for it.
    Coverage(Box<Coverage>),
    /// Every cell is over, or the shell was left; the guest is about to power off.
    Done,
}

/// A precondition of the lane that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The kernel has no SELinux, or it is off on the command line, or another module took its place.
    NoSelinux {
        /// `/sys/kernel/security/lsm`, empty when unreadable.
        lsm: String,
    },
    /// The kernel has no audit, or it is off.
    NoAudit {
        /// What the kernel said.
        detail: String,
    },
    /// The kernel has no perf events.
    NoPerf,
    /// The kernel did not take the policy.
    PolicyRejected {
        /// The error of the write to `/sys/fs/selinux/load`.
        errno: i32,
        /// What SELinux printed about it.
        messages: Vec<String>,
    },
    /// Some other part of the set-up failed.
    Setup {
        /// What was being done, as a fragment that fits after "could not".
        doing: String,
        /// The error number, or 0.
        errno: i32,
    },
}

/// What the agent read back before the first cell.
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
    /// What SELinux says of the loaded policy.
    pub selinux: SelinuxFacts,
    /// What audit says of itself.
    pub audit: AuditFacts,
    /// Boot values of the sysctls that cells change or results depend on.
    pub sysctls: Vec<(String, String)>,
    /// Why capability checks cannot be seen on this kernel, when they cannot.
    pub caps_unseen: Option<String>,
    /// How capability checks are seen, for a person: `kprobe security_capable, tracepoint cap_capable`.
    pub caps_means: String,
    /// How messages travel, for a person: `shared memory`, or why not.
    pub channel: String,
    /// What SELinux printed while the policy was loaded.
    pub policy_messages: Vec<String>,
    /// `/proc/uptime` when the agent started and when it was ready, in milliseconds.
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
    /// The permissions of the classes that matter, from `class/NAME/perms`: for `perf_event`,
    /// `capability`, `capability2` and `security`; a class that the policy lacks is not in the list.
    pub classes: Vec<(String, Vec<String>)>,
}

/// `AUDIT_GET`, read back (`struct audit_status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditFacts {
    /// Whether audit is on.
    pub enabled: u32,
    /// The process that is the audit daemon: the agent.
    pub pid: u32,
    /// Messages per second, 0 is unlimited.
    pub rate_limit: u32,
    /// Queue length at which records are dropped.
    pub backlog_limit: u32,
    /// Records lost since boot.
    pub lost: u32,
}
