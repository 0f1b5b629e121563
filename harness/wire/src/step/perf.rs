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
    /// The place of `attr` in the caller's memory.
    #[serde(default)]
    pub attr_at: AttrPlace,
    /// The number of events that it opens, one call each; only for a `[[given]]` step, where the
    /// last one has the name.
    #[serde(default = "once")]
    pub times: u32,
    /// Name for the returned file descriptor.
    #[serde(default = "default_fd", rename = "as")]
    pub bind: FdName,
}

fn once() -> u32 {
    1
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
        /// A flag that no kernel defines: bit 62.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// The place of the `struct perf_event_attr` of a `perf_event_open(2)`.
    #[derive(Default)]
    AttrPlace is "place of attr" {
        /// All of it is mapped.
        #[default]
        Mapped = "mapped",
        /// Nothing is mapped there: address 0.
        Unmapped = "unmapped",
        /// Only the first 64 bytes are mapped, the size of its first version.
        Edge = "edge",
        /// The structure of the `perf_event_open` step before, as the kernel left it: after E2BIG
        /// its `size` is that of the kernel's structure.
        Again = "again",
    }
}

named! {
    /// The place of what an ioctl's argument points to.
    #[derive(Default)]
    Place is "place of an argument" {
        /// All of it is mapped.
        #[default]
        Mapped = "mapped",
        /// Nothing is mapped there: address 0.
        Unmapped = "unmapped",
        /// Eight zero bytes that the caller cannot write.
        ReadOnly = "read-only",
        /// Its end is not mapped: the ids of `QUERY_BPF`, the NUL of a filter, all but 64 bytes of
        /// `attr`, half of a number.
        Edge = "edge",
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
    /// The number that the request takes (`REFRESH`, `PERIOD`, `PAUSE_OUTPUT`); from 2^63 on, write
    /// it as `"0x8000000000000000"`.
    #[serde(default, with = "crate::number::wide")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::number::wide::schema"))]
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
    /// Room for ids of programs, for `QUERY_BPF`.
    #[serde(default = "four")]
    pub ids_len: u32,
    /// The place of what the argument points to.
    #[serde(default)]
    pub at: Place,
    /// Enter the kernel as a 32-bit program does (`int 0x80`), with its numbers of requests.
    #[serde(default)]
    pub compat: bool,
}

fn four() -> u32 {
    4
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
    /// Its number among the requests of perf events (`include/uapi/linux/perf_event.h`).
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Enable => 0,
            Self::Disable => 1,
            Self::Refresh => 2,
            Self::Reset => 3,
            Self::Period => 4,
            Self::SetOutput => 5,
            Self::SetFilter => 6,
            Self::Id => 7,
            Self::SetBpf => 8,
            Self::PauseOutput => 9,
            Self::QueryBpf => 10,
            Self::ModifyAttributes => 11,
            Self::Unknown => 0xff,
        }
    }

    /// True if the argument points to something.
    #[must_use]
    pub const fn takes_pointer(self) -> bool {
        use Request::{Id, ModifyAttributes, Period, QueryBpf, SetFilter};
        matches!(self, Period | SetFilter | Id | QueryBpf | ModifyAttributes)
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
        if self.attr_at != AttrPlace::Mapped {
            write!(f, ", attr at {}", self.attr_at)?;
        }
        if self.times != 1 {
            write!(f, ", {} times", self.times)?;
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
        if self.ids_len != four() {
            write!(f, ", ids_len={}", self.ids_len)?;
        }
        if self.at != Place::Mapped {
            write!(f, ", at {}", self.at)?;
        }
        if self.compat {
            f.write_str(", compat")?;
        }
        Ok(())
    }
}
