//! Which places in the kernel asked whether the subject may, and what they were told.

use serde::{Deserialize, Serialize};

/// What was seen over all cells of a boot, and which places there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Each place with each of its checks, once; in no particular order.
    pub sites: Vec<Site>,
    /// The functions that were traced; the others do not exist in this kernel, or are inlined.
    pub traced: Vec<String>,
    /// Why places that no cell reached are not in [`sites`](Self::sites), when they are not.
    pub unlisted: Option<String>,
    /// Checks that could not be told because events were missing or there were too many places.
    pub dropped: u32,
}

/// One place in the kernel that asks one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Site {
    /// The function that is called there: `capable`, `perf_allow_kernel`.
    pub via: String,
    /// What is asked.
    pub check: Check,
    /// Where the call returns to.
    pub place: Place,
    /// The function is jumped to, so that the trace shows the caller of the place instead of it.
    pub tail: bool,
    /// The answers.
    pub counts: Counts,
}

/// An address, as `%pS` writes it: `symbol+offset/size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Place {
    /// The function's symbol, with what the compiler added to its name; empty when there is none.
    pub symbol: String,
    /// Bytes from the symbol.
    pub offset: u64,
    /// Bytes from the symbol to the next.
    pub size: u64,
}

/// A question to the security modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// `security_capable()` about this capability.
    Capability(u32),
    /// A `security_perf_event_*()` hook.
    PerfEvent(Hook),
    /// `ptrace_may_access()`, whoever refuses it.
    Ptrace,
    /// `security_locked_down()`.
    LockedDown,
}

/// The perf hooks; those of `security_perf_event_open()` by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// `PERF_SECURITY_OPEN`
    Open,
    /// `PERF_SECURITY_CPU`
    Cpu,
    /// `PERF_SECURITY_KERNEL`
    Kernel,
    /// `PERF_SECURITY_TRACEPOINT`
    Tracepoint,
    /// `security_perf_event_alloc()`, which labels the event.
    Alloc,
    /// `security_perf_event_read()`
    Read,
    /// `security_perf_event_write()`
    Write,
}

/// How often a place was told what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Yes, and nothing was logged.
    pub allowed: u32,
    /// Yes, because SELinux is permissive; it logged a denial.
    pub logged: u32,
    /// No, by commoncap: the capability is not held.
    pub not_held: u32,
    /// No, by another module than commoncap: here, SELinux.
    pub refused: u32,
}

impl Hook {
    /// The hook that the type argument of `security_perf_event_open()` stands for
    /// (`PERF_SECURITY_*` of `include/linux/perf_event.h`).
    #[must_use]
    pub fn of_type(number: u64) -> Option<Self> {
        [Self::Open, Self::Cpu, Self::Kernel, Self::Tracepoint]
            .get(usize::try_from(number).ok()?)
            .copied()
    }
}

impl Counts {
    /// How often it was asked at all.
    #[must_use]
    pub fn total(self) -> u64 {
        [self.allowed, self.logged, self.not_held, self.refused].map(u64::from).iter().sum()
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            logged: self.logged.saturating_add(other.logged),
            not_held: self.not_held.saturating_add(other.not_held),
            refused: self.refused.saturating_add(other.refused),
        }
    }
}
