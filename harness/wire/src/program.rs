//! Observations of a program that a `run` step executed.

use serde::{Deserialize, Serialize};

use crate::observation::Effect;

/// The most system calls of one program that an observation contains.
pub const MAX_CALLS: usize = 8192;
/// The most output of a program that an observation contains, in bytes.
pub const MAX_OUTPUT: usize = 64 << 10;

/// A program, its threads and its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Program {
    /// Its path in the guest.
    pub path: String,
    /// Its process id.
    pub pid: u32,
    /// The process and thread ids of its threads and children.
    pub others: Vec<u32>,
    /// The end of the process that was started.
    pub end: ProgramEnd,
    /// The selected system calls of all its tasks, in the order in which they were entered.
    pub calls: Vec<ProgramCall>,
    /// Effects during no system call: at the end of a task, in a page fault.
    pub outside: Vec<Effect>,
    /// The beginning of what it wrote to standard output and error; bytes that are not UTF-8 are
    /// replaced.
    pub output: String,
    /// Tracepoints in its events, by their number.
    pub tracepoints: Vec<(u64, String)>,
    /// PMUs of its events, by their number.
    pub pmus: Vec<(u32, String)>,
}

/// The end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProgramEnd {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
    /// The kernel refused to execute it, with this error number.
    NotStarted(i32),
}

/// A system call of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProgramCall {
    /// Process id (thread group) of the caller.
    pub pid: u32,
    /// The request.
    pub request: ProgramRequest,
    /// The result, `-errno` on failure; `None` if it did not return.
    pub result: Option<i64>,
    /// Its effects, in order.
    pub effects: Vec<Effect>,
}

/// The arguments of a system call of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProgramRequest {
    /// `perf_event_open(2)`
    Open {
        /// The first words of `struct perf_event_attr`; `None` if they could not be read.
        attr: Option<AttrWords>,
        /// `pid`
        pid: i32,
        /// `cpu`
        cpu: i32,
        /// True if a group leader is given.
        grouped: bool,
        /// `flags`
        flags: u64,
    },
    /// `mmap(2)` of an event.
    Mmap {
        /// Index of the call that opened the event.
        event: Option<u32>,
        /// Length in bytes.
        length: u64,
    },
    /// `ioctl(2)` on an event.
    Ioctl {
        /// Index of the call that opened the event.
        event: Option<u32>,
        /// `request`
        request: u32,
        /// The argument.
        argument: u64,
    },
    /// `read(2)` of an event.
    Read {
        /// Index of the call that opened the event.
        event: Option<u32>,
        /// Bytes to read.
        count: u64,
    },
    /// `bpf(2)`
    Bpf {
        /// The command.
        command: u32,
        /// The first word of the attributes: for some commands the type of what is made.
        kind: Option<u32>,
    },
    /// `open(2)`, `openat(2)` or `openat2(2)`.
    OpenFile {
        /// The path; `None` if the kernel did not come to look it up.
        path: Option<String>,
        /// `O_ACCMODE` of the flags; `None` for openat2.
        access: Option<u32>,
    },
    /// `execve(2)`, with the path.
    Exec {
        /// The path; `None` if the kernel did not come to look it up.
        path: Option<String>,
    },
    /// Another system call, with an effect that is shown.
    Other {
        /// Its number.
        number: i64,
    },
}

/// The first 64 bytes of `struct perf_event_attr`, `PERF_ATTR_SIZE_VER0`.
pub type AttrWords = [u64; 8];
