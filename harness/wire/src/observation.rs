//! Observations: what the agent saw of a cell, without judgement.

use serde::{Deserialize, Serialize};

use crate::answers::PolicyAnswers;
use crate::caps::CapSet;
use crate::lane::Mode;
use crate::program::Program;

/// The result of a cell on the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellOutcome {
    /// The subject performed its steps, or as many as it could.
    Observed(Observation),
    /// The policy answered the cell's questions.
    Answered(PolicyAnswers),
    /// The subject could not be set up, so the kernel was not tested.
    Failed(SetupFailure),
    /// The guest lacks this program, which a step runs.
    NoProgram(String),
}

/// The reason why a cell's subject could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupFailure {
    /// The failed action, as a fragment that fits after "could not": `enter u:r:none_t:s0:c1`.
    pub doing: String,
    /// The error number, or 0 if the failure is not a syscall's.
    pub errno: i32,
    /// An explanation, for display.
    pub detail: String,
}

/// The observation of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observation {
    /// The subject's credentials, read back after exec and before its first step.
    pub subject: SubjectSeen,
    /// The mode read back while the subject was stopped before its first step.
    pub mode: Mode,
    /// The other processes: name, pid, and context read back.
    pub processes: Vec<(String, u32, String)>,
    /// The processes to which a `clone` step handed over, by the name that the step gives: their
    /// process ids in the guest's initial namespace.
    pub heirs: Vec<(String, u32)>,
    /// The steps that were performed, in order. Steps whose file descriptor was never made are not
    /// performed, so there can be fewer than in the cell.
    pub calls: Vec<Call>,
    /// Effects between the steps, and those that cannot be attributed.
    pub outside: Vec<Effect>,
    /// The end of the subject.
    pub exit: Exit,
    /// Increase of the kernel's `lost` counter.
    pub lost: u32,
    /// The reason why capability checks were not traced; `None` if they were.
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
    /// The result of the syscall: `-errno` on failure.
    pub result: i64,
    /// The result in words, of a step that succeeded and has a text as its result.
    pub text: Option<String>,
    /// The system call as the subject made it, if a SYSCALL record is among the effects.
    pub raw: Option<RawCall>,
    /// Its effects, in order. A capability check is at its beginning, so before the AVC record that
    /// it caused.
    pub effects: Vec<Effect>,
    /// The program, if the step runs one.
    #[serde(default)]
    pub program: Option<Box<Program>>,
}

/// A system call as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RawCall {
    /// True if it was made as a 32-bit program does.
    pub compat: bool,
    /// Its number, in the table of its ABI.
    pub number: i64,
    /// The first four arguments, the only ones that audit logs.
    pub arguments: [u64; 4],
    /// The result: `-errno` on failure.
    pub result: i64,
}

/// An effect of a syscall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A capability was checked.
    Cap(CapCheck),
    /// An audit record was written.
    Record(Record),
    /// The kernel printed a message.
    Message(KernelMessage),
    /// A program executed by `execve` reached its first step, with these credentials.
    Became(SubjectSeen),
}

/// One call of `security_capable()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapCheck {
    /// Capability number.
    pub cap: u32,
    /// The `opts` argument: bit 1 (`CAP_OPT_NOAUDIT`) asks that nothing be logged.
    pub opts: u32,
    /// commoncap's verdict: 0 if the capability is in the effective set, else `-EPERM`.
    pub commoncap: i32,
    /// The verdict of all security modules: 0 or `-errno`.
    pub verdict: i32,
}

/// One audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Record type: 1400 is `AVC` (`include/uapi/linux/audit.h`).
    pub kind: u16,
    /// The netlink payload, unchanged: `audit(SECONDS.MILLIS:SERIAL): …`. Bytes that are not UTF-8
    /// are replaced.
    pub text: String,
}

/// A line of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KernelMessage {
    /// Log level: 0 (emergency) to 7 (debug).
    pub level: u8,
    /// The text, without prefix.
    pub text: String,
}

/// The end of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It performed its steps and exited.
    Finished,
    /// It was killed by this signal during a step.
    Signal(i32),
    /// The agent killed it at its time limit.
    Overdue,
}
