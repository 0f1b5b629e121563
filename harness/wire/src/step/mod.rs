//! What a process does: one step is one syscall.
//!
//! The same types are read from case files (each step is a table named after its syscall) and sent
//! to the agent, so a step that a case can write is a step that the agent can perform. `Display` writes a
//! step as strace would, with only what differs from the default.

mod action;
mod bpf;
mod file;
mod perf;
mod process;

use std::fmt;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

pub use action::{Action, Boolean, WriteFile};
pub use bpf::{Bpf, MapCreate, MapType, ProgLoad, ProgType, Program, TaskFdQuery};
pub use file::{
    Close, Mmap, Mount, MountFlag, Munmap, Open, Poll, Read, Recvmsg, Sendmsg, Setexeccon, Write,
};
pub use perf::{Ioctl, OpenFlag, PerfEventOpen, Request};
pub use process::{
    Advice, Capset, Clone, CloneFlag, Execve, PidfdOpen, Prctl, ProcessMadvise, ProcessVmReadv,
    Securebit, Setresuid, Unshare, UnshareFlag,
};

/// One syscall with its arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Step {
    /// `perf_event_open(2)`.
    PerfEventOpen(Box<PerfEventOpen>),
    /// `ioctl(2)` on a perf event.
    Ioctl(Box<Ioctl>),
    /// `read(2)` into a buffer that was touched beforehand.
    Read(Read),
    /// `write(2)` of a text.
    Write(Write),
    /// `mmap(2)` of a file descriptor at an address of the kernel's choice.
    Mmap(Mmap),
    /// `munmap(2)` of what the mapping step of that name mapped.
    Munmap(Munmap),
    /// `poll(2)` for input, without waiting.
    Poll(Poll),
    /// `close(2)`.
    Close(Close),
    /// `open(2)`.
    Open(Open),
    /// `mount(2)` of a new file system.
    Mount(Mount),
    /// `sendmsg(2)` of one file descriptor (`SCM_RIGHTS`) over a socket.
    Sendmsg(Sendmsg),
    /// `recvmsg(2)` of one file descriptor (`SCM_RIGHTS`) from a socket.
    Recvmsg(Recvmsg),
    /// What `setexeccon(3)` does: a `write(2)` to `/proc/self/attr/exec`, which says in which domain the
    /// next `execve` runs.
    Setexeccon(Setexeccon),
    /// `bpf(2)`.
    Bpf(Bpf),
    /// `prctl(2)`.
    Prctl(Prctl),
    /// `capset(2)` on the caller.
    Capset(Capset),
    /// `setresuid(2)` with the same id three times.
    Setresuid(Setresuid),
    /// `unshare(2)`.
    Unshare(Unshare),
    /// `clone(2)`: a thread or a process that does nothing until the caller ends.
    Clone(Clone),
    /// `execve(2)` of a program that goes on with the steps that follow.
    Execve(Execve),
    /// `pidfd_open(2)`.
    PidfdOpen(PidfdOpen),
    /// `process_vm_readv(2)` of memory that the process has.
    ProcessVmReadv(ProcessVmReadv),
    /// `process_madvise(2)` on memory that the process has.
    ProcessMadvise(ProcessMadvise),
    /// Something that the agent does while the subject stands still.
    Agent(Action),
}

/// The name that a case gives to a file descriptor, or to the number of a thread.
pub type FdName = String;

/// The name of a process that a case describes: a `[process.NAME]`.
pub type ProcessName = String;

fn default_fd() -> FdName {
    "fd".to_owned()
}

/// A task that a step is about: `0` is the caller, `-1` is every task, `4194304` is nobody, a name is a process of the
/// case, what a `clone` step made, or, with the flag `PID_CGROUP`, a descriptor of a cgroup's directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// The caller.
    #[default]
    Caller,
    /// Every task.
    Every,
    /// None: the number that is one more than any task's (`PID_MAX_LIMIT`).
    Nobody,
    /// One by name.
    Named(String),
}

/// `PID_MAX_LIMIT` of `include/linux/threads.h` on a 64-bit kernel: numbers of tasks are below it.
pub const NOBODY: i64 = 4 << 20;

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller => f.write_str("0"),
            Self::Every => f.write_str("-1"),
            Self::Nobody => NOBODY.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Task {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;

        impl Visitor<'_> for NumberOrName {
            type Value = Task;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0 (the caller), -1 (every task) or the name of a process")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Task, E> {
                match number {
                    0 => Ok(Task::Caller),
                    -1 => Ok(Task::Every),
                    NOBODY => Ok(Task::Nobody),
                    other => Err(E::custom(format!(
                        "no process has the number {other} for sure: \
                         write 0, -1, {NOBODY} (nobody's) or the name of a process of the case"
                    ))),
                }
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Task, E> {
                let numbered = [Task::Caller, Task::Every, Task::Nobody];
                if let Some(task) = numbered.into_iter().find(|task| task.to_string() == name) {
                    return Ok(task);
                }
                Ok(match name {
                    "" => return Err(E::custom("a process needs a name")),
                    name => Task::Named(name.to_owned()),
                })
            }
        }

        // The wire's format does not describe itself; there, a task is always its text.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(NumberOrName)
        } else {
            let text = String::deserialize(deserializer)?;
            NumberOrName.visit_str(&text).map_err(|error: D::Error| D::Error::custom(error))
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Task {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Task".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["integer", "string"],
            "description": "0 is the caller, -1 every task, a name a process of the case",
        })
    }
}

impl Step {
    /// The file descriptors and threads that must exist for the step to make sense, by name.
    #[must_use]
    pub fn needs(&self) -> Vec<&str> {
        match self {
            Self::PerfEventOpen(open) => open.needs(),
            Self::Ioctl(ioctl) => ioctl.needs(),
            Self::Read(Read { fd, .. })
            | Self::Write(Write { fd, .. })
            | Self::Poll(Poll { fd })
            | Self::Close(Close { fd })
            | Self::Recvmsg(Recvmsg { fd, .. })
            | Self::Setexeccon(Setexeccon { fd, .. }) => vec![fd],
            Self::Mmap(map) => {
                std::iter::once(&map.fd).chain(&map.aux).map(String::as_str).collect()
            }
            Self::Sendmsg(Sendmsg { fd, send }) => vec![fd, send],
            Self::Munmap(unmap) => vec![&unmap.map],
            Self::ProcessMadvise(advise) => vec![&advise.pidfd],
            Self::Bpf(bpf) => bpf.needs(),
            Self::Open(_)
            | Self::Mount(_)
            | Self::Prctl(_)
            | Self::Capset(_)
            | Self::Setresuid(_)
            | Self::Unshare(_)
            | Self::Clone(_)
            | Self::Execve(_)
            | Self::PidfdOpen(_)
            | Self::ProcessVmReadv(_)
            | Self::Agent(_) => Vec::new(),
        }
    }

    /// The name that its result gets, for a step that makes a file descriptor, a mapping or a thread.
    #[must_use]
    pub fn binds(&self) -> Option<&str> {
        match self {
            Self::PerfEventOpen(open) => Some(&open.bind),
            Self::Mmap(map) => Some(&map.bind),
            Self::Open(open) => Some(&open.bind),
            Self::Recvmsg(receive) => Some(&receive.bind),
            Self::PidfdOpen(open) => Some(&open.bind),
            Self::Clone(clone) => Some(&clone.bind),
            Self::Bpf(bpf) => bpf.binds(),
            _ => None,
        }
    }

    /// The task that it is about.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        match self {
            Self::PerfEventOpen(open) => Some(&open.pid),
            Self::PidfdOpen(open) => Some(&open.pid),
            Self::ProcessVmReadv(read) => Some(&read.pid),
            Self::Bpf(Bpf::TaskFdQuery(query)) => Some(&query.pid),
            _ => None,
        }
    }

    /// The syscall's name, as its man page has it.
    #[must_use]
    pub fn syscall(&self) -> &'static str {
        match self {
            Self::PerfEventOpen(_) => "perf_event_open",
            Self::Ioctl(_) => "ioctl",
            Self::Read(_) => "read",
            Self::Write(_) => "write",
            Self::Mmap(_) => "mmap",
            Self::Munmap(_) => "munmap",
            Self::Poll(_) => "poll",
            Self::Close(_) => "close",
            Self::Open(_) => "open",
            Self::Mount(_) => "mount",
            Self::Sendmsg(_) => "sendmsg",
            Self::Recvmsg(_) => "recvmsg",
            Self::Setexeccon(_) => "setexeccon",
            Self::Bpf(_) => "bpf",
            Self::Prctl(_) => "prctl",
            Self::Capset(_) => "capset",
            Self::Setresuid(_) => "setresuid",
            Self::Unshare(_) => "unshare",
            Self::Clone(_) => "clone",
            Self::Execve(_) => "execve",
            Self::PidfdOpen(_) => "pidfd_open",
            Self::ProcessVmReadv(_) => "process_vm_readv",
            Self::ProcessMadvise(_) => "process_madvise",
            Self::Agent(action) => action.name(),
        }
    }

    /// How its success is written: a name for what varies from boot to boot, `None` for a number.
    #[must_use]
    pub fn success(&self) -> Option<&str> {
        match self {
            Self::Mmap(_) => Some("addr"),
            // A text that the kernel writes varies in length; that there is one does not.
            Self::Read(read) if read.some => Some("some"),
            step => step.binds(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Agent(action) = self {
            return write!(f, "agent: {}({action})", action.name());
        }
        write!(f, "{}(", self.syscall())?;
        match self {
            Self::PerfEventOpen(open) => open.fmt(f),
            Self::Ioctl(ioctl) => ioctl.fmt(f),
            Self::Read(read) => write!(f, "{}, {}", read.fd, read.count),
            Self::Write(write) => write!(f, "{}, {:?}", write.fd, write.text),
            Self::Mmap(map) => map.fmt(f),
            Self::Munmap(unmap) => write!(f, "{}, {} pages", unmap.map, unmap.pages),
            Self::Poll(Poll { fd }) | Self::Close(Close { fd }) => f.write_str(fd),
            Self::Open(open) => open.fmt(f),
            Self::Mount(mount) => mount.fmt(f),
            Self::Sendmsg(send) => write!(f, "{}, {}", send.fd, send.send),
            Self::Recvmsg(receive) => f.write_str(&receive.fd),
            Self::Setexeccon(Setexeccon { fd, domain }) => write!(f, "{fd}, {domain}"),
            Self::Bpf(bpf) => bpf.fmt(f),
            Self::Prctl(prctl) => prctl.fmt(f),
            Self::Capset(set) => set.fmt(f),
            Self::Setresuid(Setresuid { uid }) => write!(f, "{uid}, {uid}, {uid}"),
            Self::Unshare(unshare) => unshare.fmt(f),
            Self::Clone(clone) => clone.fmt(f),
            Self::Execve(exec) => exec.fmt(f),
            Self::PidfdOpen(open) => open.pid.fmt(f),
            Self::ProcessVmReadv(read) => write!(f, "{}, {}", read.pid, read.count),
            Self::ProcessMadvise(advise) => write!(f, "{}, {}", advise.pidfd, advise.advice),
            Self::Agent(_) => Ok(()),
        }?;
        f.write_str(")")
    }
}

/// Writes `A|B|C`, or nothing for an empty list.
fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, flags: &[T]) -> fmt::Result {
    for (index, flag) in flags.iter().enumerate() {
        let bar = if index > 0 { "|" } else { "" };
        write!(f, "{bar}{flag}")?;
    }
    Ok(())
}
