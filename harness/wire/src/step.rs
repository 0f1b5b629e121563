//! What a subject does: one step is one syscall.
//!
//! The same types are read from case files (each step is a table named after its syscall) and sent
//! to the agent, so a step that a case can write is a step that the agent can perform.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attr::PerfEventAttr;

/// One syscall with its arguments.
///
/// `Display` writes it as strace would, with only what differs from the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `perf_event_open(2)`.
    PerfEventOpen(PerfEventOpen),
    /// `read(2)` into a buffer that was touched beforehand.
    Read(Read),
    /// `mmap(2)` of a file descriptor at offset 0.
    Mmap(Mmap),
    /// `ioctl(2)` on a perf event.
    Ioctl(Ioctl),
    /// `close(2)`.
    Close(Close),
}

/// The name a case gives to a file descriptor.
pub type FdName = String;

fn default_fd() -> FdName {
    "fd".to_owned()
}

fn any_cpu() -> i32 {
    -1
}

/// Arguments of `perf_event_open(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerfEventOpen {
    /// The whole `struct perf_event_attr`.
    pub attr: Box<PerfEventAttr>,
    /// Which task: 0 is the caller, -1 is every task (then `cpu` must name one).
    #[serde(default)]
    pub pid: i32,
    /// Which CPU; -1 is any.
    #[serde(default = "any_cpu")]
    pub cpu: i32,
    /// The group's leader, if any.
    #[serde(default)]
    pub group: Option<FdName>,
    /// Name for the file descriptor that it returns.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

/// Arguments of `read(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// What to read from.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Size of the buffer in bytes, at most 4096.
    pub count: u32,
}

/// Arguments of `mmap(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mmap {
    /// What to map.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Length in pages of 4096 bytes; a perf buffer is one page more than a power of two.
    pub pages: u32,
    /// `MAP_PRIVATE` instead of `MAP_SHARED`.
    #[serde(default)]
    pub private: bool,
}

/// Arguments of `ioctl(2)` on a perf event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ioctl {
    /// The event.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Which request, by its name without `PERF_EVENT_IOC_`.
    pub request: Request,
    /// The argument, for requests that take a number.
    #[serde(default)]
    pub arg: u64,
}

/// An ioctl request of `include/uapi/linux/perf_event.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Request {
    /// Count.
    Enable,
    /// Stop counting.
    Disable,
    /// Let it overflow `arg` more times.
    Refresh,
    /// Set the count to zero.
    Reset,
    /// Store the event's number.
    Id,
    /// A number that no kernel knows: `_IO('$', 0xff)`.
    Unknown,
}

/// Arguments of `close(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// What to close.
    #[serde(default = "default_fd")]
    pub fd: FdName,
}

impl Step {
    /// The file descriptors that must be open for the step to make sense.
    #[must_use]
    pub fn needs(&self) -> Option<&str> {
        match self {
            Self::PerfEventOpen(open) => open.group.as_deref(),
            Self::Read(Read { fd, .. })
            | Self::Mmap(Mmap { fd, .. })
            | Self::Ioctl(Ioctl { fd, .. })
            | Self::Close(Close { fd }) => Some(fd),
        }
    }

    /// The name that its file descriptor gets, for a step that opens one.
    #[must_use]
    pub fn binds(&self) -> Option<&str> {
        match self {
            Self::PerfEventOpen(open) => Some(&open.bind),
            _ => None,
        }
    }

    /// The syscall's name, as its man page has it.
    #[must_use]
    pub fn syscall(&self) -> &'static str {
        match self {
            Self::PerfEventOpen(_) => "perf_event_open",
            Self::Read(_) => "read",
            Self::Mmap(_) => "mmap",
            Self::Ioctl(_) => "ioctl",
            Self::Close(_) => "close",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.syscall())?;
        match self {
            Self::PerfEventOpen(open) => {
                write!(f, "{}, pid={}, cpu={}", open.attr, open.pid, open.cpu)?;
                if let Some(group) = &open.group {
                    write!(f, ", group={group}")?;
                }
            }
            Self::Read(read) => write!(f, "{}, {}", read.fd, read.count)?,
            Self::Mmap(map) => {
                let sharing = if map.private { "MAP_PRIVATE" } else { "MAP_SHARED" };
                let plural = if map.pages == 1 { "" } else { "s" };
                write!(f, "{}, {} page{plural}, {sharing}", map.fd, map.pages)?;
            }
            Self::Ioctl(ioctl) => {
                write!(f, "{}, {}", ioctl.fd, ioctl.request)?;
                if ioctl.arg != 0 {
                    write!(f, ", {}", ioctl.arg)?;
                }
            }
            Self::Close(close) => f.write_str(&close.fd)?,
        }
        f.write_str(")")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable => "ENABLE",
            Self::Disable => "DISABLE",
            Self::Refresh => "REFRESH",
            Self::Reset => "RESET",
            Self::Id => "ID",
            Self::Unknown => "UNKNOWN",
        })
    }
}
