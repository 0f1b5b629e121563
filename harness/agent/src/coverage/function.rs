//! The functions whose callers are the sites of checks.

use perfsec_wire::caps;
use perfsec_wire::coverage::{Check, Hook};

/// A function of the kernel that asks the security modules.
pub(crate) struct Function {
    /// Its symbol.
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// The argument that distinguishes checks.
    pub(crate) argument: Argument,
}

/// How a function is involved in a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Checks a capability, itself or through others; returns 0 if it is granted.
    Capability,
    /// Calls a perf hook; returns 0 if it is granted.
    PerfEvent(Hook),
    /// Calls the perf hook that its argument names; returns 0 if it is granted.
    PerfEventOpen,
    /// Makes this check; returns 0 if it is granted.
    Zero(Check),
    /// Makes this check, among others; returns true if it is granted.
    True(Check),
    /// Checks the capability that its argument names, for its caller.
    Capable,
    /// Makes the same checks for every caller.
    Helper(&'static [Check]),
}

/// The register that holds the argument, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    None,
    First,
    Second,
    Third,
    /// The first, or the second if the first is a pointer (`security_perf_event_open()` before
    /// 6.16).
    FirstOrSecond,
}

/// The checks of `perfmon_capable()`: CAP_PERFMON, then CAP_SYS_ADMIN.
const PERFMON: Check = Check::Capability(caps::PERFMON);
const SYS_ADMIN: Check = Check::Capability(caps::SYS_ADMIN);

const fn function(name: &'static str, role: Role, argument: Argument) -> Function {
    Function { name, role, argument }
}

/// All functions; the first has its own events.
pub(crate) const FUNCTIONS: [Function; 14] = [
    function("security_capable", Role::Capability, Argument::Third),
    function("capable", Role::Capable, Argument::First),
    function("ns_capable", Role::Capable, Argument::Second),
    function("ns_capable_noaudit", Role::Capable, Argument::Second),
    function("bpf_token_capable", Role::Capable, Argument::Second),
    function("security_perf_event_open", Role::PerfEventOpen, Argument::FirstOrSecond),
    function("security_perf_event_alloc", Role::PerfEvent(Hook::Alloc), Argument::None),
    function("security_perf_event_read", Role::PerfEvent(Hook::Read), Argument::None),
    function("security_perf_event_write", Role::PerfEvent(Hook::Write), Argument::None),
    function(
        "perf_allow_kernel",
        Role::Helper(&[PERFMON, SYS_ADMIN, Check::PerfEvent(Hook::Kernel)]),
        Argument::None,
    ),
    function(
        "perf_allow_cpu",
        Role::Helper(&[PERFMON, SYS_ADMIN, Check::PerfEvent(Hook::Cpu)]),
        Argument::None,
    ),
    function(
        "perf_allow_tracepoint",
        Role::Helper(&[PERFMON, SYS_ADMIN, Check::PerfEvent(Hook::Tracepoint)]),
        Argument::None,
    ),
    function("ptrace_may_access", Role::True(Check::Ptrace), Argument::None),
    function("security_locked_down", Role::Zero(Check::LockedDown), Argument::None),
];

impl Function {
    /// True if its checks belong to its caller.
    pub(crate) fn is_transparent(&self) -> bool {
        !matches!(self.role, Role::True(_) | Role::Zero(_))
    }

    /// The hook that the arguments of `security_perf_event_open()` name.
    pub(crate) fn hook(first: u64, second: u64) -> Option<Hook> {
        // A pointer is never that small.
        Hook::of_type(first).or_else(|| Hook::of_type(second & u64::from(u32::MAX)))
    }
}
