//! Steps of a process: one step is one syscall.
//!
//! The same types are read from case files (each step is a table named after its syscall) and sent
//! to the agent, so the agent can perform every step that a case can contain.
//!
//! A step kind is a struct with its arguments, an implementation of [`Syscall`] beside it, and a
//! line in the list below.

mod access;
mod action;
mod bpf;
mod exec;
mod file;
mod limit;
mod perf;
mod process;
mod ptrace;
mod run;
mod syscall;
mod task;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use access::{AccessKind, FileAccess};
pub use action::{Action, AuditRule, Boolean, Excluded, RuleSyscall, WriteFile};
pub use bpf::{
    Bpf, MapCreate, MapFlag, MapType, ObjGetInfoByFd, ProgFlag, ProgLoad, ProgType, Program,
    TaskFdQuery,
};
pub use exec::Execve;
pub use file::{
    Close, Mkdir, Mmap, Mount, MountFlag, Munmap, Open, OpenAccess, Poll, Read, Recvmsg, Rmdir,
    Sendmsg, Setexeccon, Stat, Write,
};
pub use limit::{Resource, Setrlimit};
pub use perf::{AttrPlace, Ioctl, OpenFlag, PerfEventOpen, Place, Request};
pub use process::{
    Advice, Capget, Capset, Clone, CloneFlag, Getresuid, PersonaFlag, Personality, PidfdOpen,
    Prctl, ProcessMadvise, ProcessVmReadv, Securebit, Setfsuid, Setresgid, Setresuid, Unshare,
    UnshareFlag,
};
pub use ptrace::Ptrace;
pub use run::Run;
pub use syscall::{ResultForm, Syscall};
pub use task::{NOBODY, Task};

/// Declares [`Step`], and a macro that evaluates an expression on the arguments of any step. `$d`
/// is a dollar sign, which that macro needs and this one cannot write.
macro_rules! steps {
    ($d:tt $($(#[$doc:meta])* $kind:ident($arguments:ty),)*) => {
        /// One syscall with its arguments.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Step {
            $($(#[$doc])* $kind($arguments),)*
        }

        /// `with_arguments!(step, arguments => EXPRESSION)`: evaluates the expression on the
        /// arguments of a step of any kind. It compiles only if it holds for every kind.
        #[macro_export]
        macro_rules! with_arguments {
            ($d step:expr, $d arguments:ident => $d value:expr) => {
                match $d step {
                    $($crate::Step::$kind($d arguments) => $d value,)*
                }
            };
        }
    };
}

steps! { $
    /// `perf_event_open(2)`.
    PerfEventOpen(Box<PerfEventOpen>),
    /// `ioctl(2)` on a perf event.
    Ioctl(Box<Ioctl>),
    /// `read(2)` into a buffer that was touched before.
    Read(Read),
    /// `write(2)` of a text.
    Write(Write),
    /// `mmap(2)` of a file descriptor at an address that the kernel chooses.
    Mmap(Mmap),
    /// `munmap(2)` of a mapping that an `mmap` step made.
    Munmap(Munmap),
    /// `poll(2)` for input, without waiting.
    Poll(Poll),
    /// `close(2)`.
    Close(Close),
    /// `open(2)`.
    Open(Open),
    /// `stat(2)`: type, permissions and owner of a file.
    Stat(Stat),
    /// `access(2)`: the caller's access with its real ids.
    Access(FileAccess),
    /// `mkdir(2)` with mode 0700.
    Mkdir(Mkdir),
    /// `rmdir(2)`.
    Rmdir(Rmdir),
    /// `mount(2)` of a new file system.
    Mount(Mount),
    /// `sendmsg(2)` of one file descriptor (`SCM_RIGHTS`) over a socket.
    Sendmsg(Sendmsg),
    /// `recvmsg(2)` of one file descriptor (`SCM_RIGHTS`) from a socket.
    Recvmsg(Recvmsg),
    /// `setexeccon(3)`: a `write(2)` to `/proc/self/attr/exec`, which sets the domain of the next
    /// `execve`.
    Setexeccon(Setexeccon),
    /// `bpf(2)`.
    Bpf(Bpf),
    /// `prctl(2)`.
    Prctl(Prctl),
    /// `capget(2)`: the permitted, effective and inheritable capabilities of a process.
    Capget(Capget),
    /// `capset(2)` on the caller.
    Capset(Capset),
    /// `setresuid(2)`
    Setresuid(Setresuid),
    /// `setresgid(2)`
    Setresgid(Setresgid),
    /// `setfsuid(2)`
    Setfsuid(Setfsuid),
    /// `getresuid(2)`: the result is the real, the effective and the saved user id of the caller.
    Getresuid(Getresuid),
    /// `personality(2)`: the result is the previous persona.
    Personality(Personality),
    /// `setrlimit(2)` on the caller.
    Setrlimit(Setrlimit),
    /// `unshare(2)`.
    Unshare(Unshare),
    /// `clone(2)`: a thread or a process that does nothing until the caller ends, or that performs
    /// the remaining steps.
    Clone(Clone),
    /// `execve(2)` of a program that performs the remaining steps.
    Execve(Execve),
    /// `pidfd_open(2)`.
    PidfdOpen(PidfdOpen),
    /// `process_vm_readv(2)` of memory that the process has mapped.
    ProcessVmReadv(ProcessVmReadv),
    /// `process_madvise(2)` on memory that the process has mapped.
    ProcessMadvise(ProcessMadvise),
    /// `ptrace(2)`: makes one task the tracer of another.
    Ptrace(Ptrace),
    /// Runs a program and waits until it ends.
    Run(Run),
    /// An action of the agent while the subject is stopped.
    Agent(Action),
}

/// The name that a case gives to a file descriptor, or to the pid of a task.
pub type FdName = String;

/// The descriptor 0, which every subject has.
pub const STDIN: &str = "stdin";

/// The name of a process that a case describes: a `[process.NAME]`.
pub type ProcessName = String;

fn default_fd() -> FdName {
    "fd".to_owned()
}

impl Step {
    /// [`Syscall::name`]
    #[must_use]
    pub fn name(&self) -> &'static str {
        with_arguments!(self, arguments => arguments.name())
    }

    /// [`Syscall::needs`]
    #[must_use]
    pub fn needs(&self) -> Vec<&str> {
        with_arguments!(self, arguments => arguments.needs())
    }

    /// [`Syscall::binds`]
    #[must_use]
    pub fn binds(&self) -> Option<&str> {
        with_arguments!(self, arguments => arguments.binds())
    }

    /// [`Syscall::task`]
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        with_arguments!(self, arguments => arguments.task())
    }

    /// [`Syscall::result_form`]
    #[must_use]
    pub fn result_form(&self) -> ResultForm<'_> {
        with_arguments!(self, arguments => arguments.result_form())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_arguments!(self, arguments => write!(f, "{}({arguments})", arguments.name()))
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
