//! A symptom.

use std::collections::BTreeSet;

use perfsec_wire::Mode;
use perfsec_wire::attr::Event;

use crate::errno::Errno;

/// A symptom, as far as the words describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symptom {
    /// The subcommand of perf.
    pub tool: Option<PerfTool>,
    /// Every task on every CPU: `-a`.
    pub system_wide: bool,
    /// A cgroup: `-G`, which is opened on every CPU.
    pub cgroup: bool,
    /// Another process: `-p`.
    pub other_process: bool,
    /// The other process belongs to the same user.
    pub own: bool,
    /// The tool runs a command.
    pub command: bool,
    /// Call chains: `-g`.
    pub callchains: bool,
    /// User space only: `:u`.
    pub user_side: bool,
    /// The kernel only: `:k`.
    pub kernel_side: bool,
    /// Records namespaces: `--namespaces`.
    pub namespaces: bool,
    /// The event, if the words name one.
    pub event: Option<Event>,
    /// Concerns mapping the buffer: `-m`.
    pub mmap: bool,
    /// True if root runs perf, `None` if the words do not say.
    pub root: Option<bool>,
    /// In a container, whose root may be an ordinary user outside.
    pub container: bool,
    /// The container has its own user namespace.
    pub userns: bool,
    /// Capabilities that the process holds, by number.
    pub capabilities: BTreeSet<u32>,
    /// Capabilities that the words exclude, by number.
    pub lacks: BTreeSet<u32>,
    /// The process holds no capability.
    pub no_capabilities: bool,
    /// `kernel.perf_event_paranoid`
    pub level: Option<i32>,
    /// Whose kernel it is: `debian`, `upstream`, `vanilla` or `mainline`.
    pub distribution: Option<String>,
    /// The SELinux type of the process.
    pub domain: Option<String>,
    /// The SELinux mode.
    pub mode: Option<Mode>,
    /// The errno of the call.
    pub errno: Option<Errno>,
    /// perf printed that access is limited, as it does for EACCES and EPERM.
    pub limited: bool,
    /// There was no AVC record.
    pub silent: bool,
    /// The words that were not understood.
    pub(super) unknown: Vec<String>,
    /// True for user space only and for the kernel only, by the event's modifiers.
    pub(super) sides: Option<(bool, bool)>,
}

/// A subcommand of perf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerfTool {
    /// `perf stat`
    Stat,
    /// `perf record`
    Record,
    /// `perf top`
    Top,
    /// `perf trace`
    Trace,
    /// `perf probe`
    Probe,
}

impl PerfTool {
    /// The command, such as `perf stat`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stat => "perf stat",
            Self::Record => "perf record",
            Self::Top => "perf top",
            Self::Trace => "perf trace",
            Self::Probe => "perf probe",
        }
    }
}
