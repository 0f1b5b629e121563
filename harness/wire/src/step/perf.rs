//! Steps on perf events.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, Syscall, Task, default_fd, joined};
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
    /// `struct perf_event_attr`.
    pub attr: PerfEventAttr,
    /// The task: 0 is the caller, -1 is every task (then `cpu` must name a CPU).
    #[serde(default)]
    pub pid: Task,
    /// The CPU; -1 is any.
    #[serde(default = "any_cpu")]
    pub cpu: i32,
    /// The group leader, or with the flag `FD_OUTPUT` the event whose buffer is shared.
    #[serde(default)]
    pub group: Option<FdName>,
    /// Flags by name without `PERF_FLAG_`.
    #[serde(default)]
    pub flags: Vec<OpenFlag>,
    /// Name for the returned file descriptor.
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
    /// The request, by its name without `PERF_EVENT_IOC_`.
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
    /// Enter the kernel as a 32-bit program does (`int 0x80`); only for requests that take a
    /// number or nothing.
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
        /// Let the event overflow `arg` more times.
        Refresh = "REFRESH",
        /// Set the count to zero.
        Reset = "RESET",
        /// Overflow every `arg` events.
        Period = "PERIOD",
        /// Send samples to the buffer of `to`; without `to`, to none.
        SetOutput = "SET_OUTPUT",
        /// Count only events that pass `filter`.
        SetFilter = "SET_FILTER",
        /// Store the event's id.
        Id = "ID",
        /// Attach the BPF program `to`.
        SetBpf = "SET_BPF",
        /// Stop or resume the buffer.
        PauseOutput = "PAUSE_OUTPUT",
        /// List the attached BPF programs.
        QueryBpf = "QUERY_BPF",
        /// Replace the attributes with `attr`.
        ModifyAttributes = "MODIFY_ATTRIBUTES",
        /// A request that no kernel defines: `_IO('$', 0xff)`.
        Unknown = "UNKNOWN",
    }
}

impl Syscall for PerfEventOpen {
    fn name(&self) -> &'static str {
        "perf_event_open"
    }

    fn needs(&self) -> Vec<&str> {
        self.group.as_deref().into_iter().collect()
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }

    fn task(&self) -> Option<&Task> {
        Some(&self.pid)
    }
}

impl Request {
    /// True if the argument is a number or nothing, which a 32-bit register can hold.
    #[must_use]
    pub const fn takes_number(self) -> bool {
        use Request::{Disable, Enable, PauseOutput, Refresh, Reset, Unknown};
        matches!(self, Enable | Disable | Refresh | Reset | PauseOutput | Unknown)
    }
}

impl Syscall for Ioctl {
    fn name(&self) -> &'static str {
        "ioctl"
    }

    fn needs(&self) -> Vec<&str> {
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
