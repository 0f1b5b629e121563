//! What a cell did, as the agent saw it. No judgement is in it.

use serde::{Deserialize, Serialize};

use crate::caps::CapSet;
use crate::lane::Mode;

/// How a cell came out of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The subject performed its steps, or as many as it could.
    Observed(Observation),
    /// The subject could not be set up as asked, so nothing can be said about the kernel.
    Failed(SetupFailure),
}

/// Why a cell's subject could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupFailure {
    /// What was being done, as a fragment that fits after "could not": `enter u:r:none_t:s0:c1`.
    pub doing: String,
    /// The error number, or 0 when the failure is not a syscall's.
    pub errno: i32,
    /// What else is known, for a person.
    pub detail: String,
}

/// What a cell did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observation {
    /// What the subject really got, read back after exec and before its first step.
    pub subject: SubjectSeen,
    /// The mode read back while the subject was stopped before its first step.
    pub mode: Mode,
    /// The processes beside it, by name, with their number and their context, read back.
    pub processes: Vec<(String, u32, String)>,
    /// One for each step that was performed, in order; steps whose file descriptor was never made are
    /// not performed, so this can be shorter than the cell's steps.
    pub calls: Vec<Call>,
    /// What happened between the steps and belongs to none of them, and what cannot be attributed.
    pub outside: Vec<Effect>,
    /// How the subject ended.
    pub exit: Exit,
    /// By how much the kernel's `lost` counter rose.
    pub lost: u32,
    /// Whether the capability checks were seen: the reason when not.
    pub caps_unseen: Option<String>,
    /// Time from fork to barrier, in microseconds of the guest's clock.
    pub micros: u32,
}

/// A subject's credentials, read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubjectSeen {
    /// Process id in the guest's initial namespace.
    pub pid: u32,
    /// Real user id.
    pub uid: u32,
    /// Permitted capabilities.
    pub permitted: CapSet,
    /// Effective capabilities.
    pub effective: CapSet,
    /// `/proc/self/attr/current` without its final NUL.
    pub context: String,
}

/// One performed step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Call {
    /// Index of the step in the cell.
    pub step: u32,
    /// What the syscall returned: `-errno` on failure.
    pub result: i64,
    /// What it caused, in the order in which it happened; a capability check stands where it was
    /// asked, so before the AVC record that it led to.
    pub effects: Vec<Effect>,
}

/// Something that a syscall caused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A capability was asked for.
    Cap(CapCheck),
    /// An audit record was written.
    Record(Record),
    /// The kernel printed a message.
    Message(KernelMessage),
    /// A program that `execve` started came as far as its first step: what it is then.
    Became(SubjectSeen),
}

/// One pass through `security_capable()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapCheck {
    /// Capability number.
    pub cap: u32,
    /// The `opts` argument: bit 1 (`CAP_OPT_NOAUDIT`) asks that nothing be logged.
    pub opts: u32,
    /// What commoncap said (0 or `-EPERM`): is the capability in the effective set?
    pub commoncap: i32,
    /// What all security modules together said (0 or `-errno`).
    pub verdict: i32,
}

/// One audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Its type: 1400 is `AVC` (`include/uapi/linux/audit.h`).
    pub kind: u16,
    /// The netlink payload as it came: `audit(SECONDS.MILLIS:SERIAL): …`. Bytes that are not UTF-8
    /// are replaced.
    pub text: String,
}

/// One line of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelMessage {
    /// Its level: 0 (emergency) to 7 (debug).
    pub level: u8,
    /// The line.
    pub text: String,
}

/// How a subject ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It performed its steps and exited.
    Finished,
    /// It was killed by this signal during a step.
    Signal(i32),
    /// It was killed because its time was up.
    Overdue,
}
