//! Steps on perf events.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, Task, default_fd, joined};
use crate::attr::PerfEventAttr;
use crate::named::named;

fn any_cpu() -> i32 {
    -1
}

/// Arguments of `perf_event_open(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PerfEventOpen {
    /// The whole `struct perf_event_attr`.
    pub attr: PerfEventAttr,
    /// Which task: 0 is the caller, -1 is every task (then `cpu` must name one).
    #[serde(default)]
    pub pid: Task,
    /// Which CPU; -1 is any.
    #[serde(default = "any_cpu")]
    pub cpu: i32,
    /// The group's leader, or with the flag `FD_OUTPUT` the event whose buffer is shared.
    #[serde(default)]
    pub group: Option<FdName>,
    /// Flags by name without `PERF_FLAG_`.
    #[serde(default)]
    pub flags: Vec<OpenFlag>,
    /// Name for the file descriptor that it returns.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

named! {
    /// A flag of `perf_event_open(2)`.
    OpenFlag is "flag of perf_event_open" {
        /// The event is not added to the group of `group`.
        FdNoGroup = "FD_NO_GROUP",
        /// Samples go to the buffer of `group`.
        FdOutput = "FD_OUTPUT",
        /// `pid` is a descriptor of a cgroup's directory.
        PidCgroup = "PID_CGROUP",
        /// The descriptor is closed on exec.
        FdCloexec = "FD_CLOEXEC",
    }
}

/// Arguments of `ioctl(2)` on a perf event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ioctl {
    /// The event.
    #[serde(default = "default_fd")]
    pub fd: FdName,
    /// Which request, by its name without `PERF_EVENT_IOC_`.
    pub request: Request,
    /// The number that the request takes (`REFRESH`, `PERIOD`, `PAUSE_OUTPUT`).
    #[serde(default)]
    pub arg: u64,
    /// The descriptor that the request takes (`SET_OUTPUT`, `SET_BPF`).
    #[serde(default)]
    pub to: Option<FdName>,
    /// The filter of `SET_FILTER`.
    #[serde(default)]
    pub filter: Option<String>,
    /// The new attributes of `MODIFY_ATTRIBUTES`.
    #[serde(default)]
    pub attr: Option<PerfEventAttr>,
    /// Through the entry of 32-bit programs (`int 0x80`); only for requests that take a number or nothing.
    #[serde(default)]
    pub compat: bool,
}

named! {
    /// An ioctl request of `include/uapi/linux/perf_event.h`.
    Request is "ioctl request" {
        /// Count.
        Enable = "ENABLE",
        /// Stop counting.
        Disable = "DISABLE",
        /// Let it overflow `arg` more times.
        Refresh = "REFRESH",
        /// Set the count to zero.
        Reset = "RESET",
        /// Overflow every `arg` events.
        Period = "PERIOD",
        /// Send samples to the buffer of `to`, or to none.
        SetOutput = "SET_OUTPUT",
        /// Count only what passes `filter`.
        SetFilter = "SET_FILTER",
        /// Store the event's number.
        Id = "ID",
        /// Attach the BPF program `to`.
        SetBpf = "SET_BPF",
        /// Stop or resume the buffer.
        PauseOutput = "PAUSE_OUTPUT",
        /// List the attached BPF programs.
        QueryBpf = "QUERY_BPF",
        /// Replace the attributes by `attr`.
        ModifyAttributes = "MODIFY_ATTRIBUTES",
        /// A number that no kernel knows: `_IO('$', 0xff)`.
        Unknown = "UNKNOWN",
    }
}

impl PerfEventOpen {
    pub(super) fn needs(&self) -> Vec<&str> {
        self.group.as_deref().into_iter().collect()
    }
}

impl Request {
    /// Whether its argument is a number or nothing, and so fits into any register.
    #[must_use]
    pub const fn takes_number(self) -> bool {
        use Request::{Disable, Enable, PauseOutput, Refresh, Reset, Unknown};
        matches!(self, Enable | Disable | Refresh | Reset | PauseOutput | Unknown)
    }
}

impl Ioctl {
    pub(super) fn needs(&self) -> Vec<&str> {
        [Some(self.fd.as_str()), self.to.as_deref()].into_iter().flatten().collect()
    }
}

impl fmt::Display for PerfEventOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, pid={}, cpu={}", self.attr, self.pid, self.cpu)?;
        if let Some(group) = &self.group {
            write!(f, ", group={group}")?;
        }
        if !self.flags.is_empty() {
            f.write_str(", ")?;
            joined(f, &self.flags)?;
        }
        Ok(())
    }
}

impl fmt::Display for Ioctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.fd, self.request)?;
        if self.arg != 0 {
            write!(f, ", {}", self.arg)?;
        }
        if let Some(to) = &self.to {
            write!(f, ", {to}")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ", {filter:?}")?;
        }
        if let Some(attr) = &self.attr {
            write!(f, ", {attr}")?;
        }
        if self.compat {
            f.write_str(", compat")?;
        }
        Ok(())
    }
}
