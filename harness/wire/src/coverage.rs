//! Coverage of the checks in the kernel: call sites and verdicts.

use serde::{Deserialize, Serialize};

/// Coverage of all cells of a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Every call site with each of its checks, once, in no particular order.
    pub sites: Vec<Site>,
    /// The traced functions; the others do not exist in this kernel, or are inlined.
    pub traced: Vec<String>,
    /// The reason why [`sites`](Self::sites) lacks the sites that no cell reached; `None` if it has
    /// them.
    pub unlisted: Option<String>,
    /// Checks that were not counted because events were missing or there were too many sites.
    pub dropped: u32,
}

/// A check at one call site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Site {
    /// The function that is called there: `capable`, `perf_allow_kernel`.
    pub via: String,
    /// The check.
    pub check: Check,
    /// Return address of the call.
    pub place: SymbolOffset,
    /// A tail call: the trace shows the caller of this function instead.
    pub tail: bool,
    /// The verdicts.
    pub counts: Counts,
}

/// An address, as `%pS` writes it: `symbol+offset/size`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Place"))]
pub struct SymbolOffset {
    /// Symbol of the function, including the compiler's suffix; empty for an address in none.
    pub symbol: String,
    /// Bytes from the symbol.
    pub offset: u64,
    /// Bytes from the symbol to the next one.
    pub size: u64,
}

/// A question to the security modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// `security_capable()` on this capability.
    Capability(u32),
    /// A `security_perf_event_*()` hook.
    PerfEvent(Hook),
    /// `ptrace_may_access()`, by any module.
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

/// Number of each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Allowed, and nothing was logged.
    pub allowed: u32,
    /// Allowed by a permissive SELinux, which logged a denial.
    pub logged: u32,
    /// Refused by commoncap: the capability is not held.
    pub not_held: u32,
    /// Refused by another module than commoncap, which is SELinux here.
    pub refused: u32,
}

impl Hook {
    /// The hook for a type argument of `security_perf_event_open()` (`PERF_SECURITY_*` of
    /// `include/linux/perf_event.h`).
    #[must_use]
    pub fn of_type(number: u64) -> Option<Self> {
        [Self::Open, Self::Cpu, Self::Kernel, Self::Tracepoint]
            .get(usize::try_from(number).ok()?)
            .copied()
    }
}

impl Counts {
    /// The number of all verdicts.
    #[must_use]
    pub fn total(self) -> u64 {
        [self.allowed, self.logged, self.not_held, self.refused].map(u64::from).iter().sum()
    }

    /// The sum of both.
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
