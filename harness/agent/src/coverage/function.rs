//! The functions whose callers are the places that ask.

use perfsec_wire::caps;
use perfsec_wire::coverage::{Check, Hook};

/// A function of the kernel that asks the security modules something.
pub(crate) struct Function {
    /// Its symbol.
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Where it has what tells one question from another.
    pub(crate) argument: Argument,
}

/// What a function has to do with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It asks about a capability, itself or through others; returns 0 when the answer is yes.
    Capability,
    /// It asks a perf hook; returns 0 when the answer is yes.
    PerfEvent(Hook),
    /// It asks the perf hook that its argument names; returns 0 when the answer is yes.
    PerfEventOpen,
    /// It asks this; returns 0 when the answer is yes.
    Zero(Check),
    /// It asks this, among other things; returns true when the answer is yes.
    True(Check),
    /// It asks on behalf of its caller about the capability that its argument names.
    Capable,
    /// It asks on behalf of its caller, and always the same.
    Helper(&'static [Check]),
}

/// The register that holds the argument, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    None,
    First,
    Second,
    Third,
    /// The first, or the second where the first is a pointer (`security_perf_event_open()` before 6.16).
    FirstOrSecond,
}

/// CAP_PERFMON, CAP_SYS_ADMIN: what `perfmon_capable()` asks for.
const PERFMON: Check = Check::Capability(caps::PERFMON);
const SYS_ADMIN: Check = Check::Capability(caps::SYS_ADMIN);

const fn function(name: &'static str, role: Role, argument: Argument) -> Function {
    Function { name, role, argument }
}

/// All of them; the first is traced by events of its own.
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
    /// Whether what is asked inside is asked by its caller.
    pub(crate) fn is_transparent(&self) -> bool {
        !matches!(self.role, Role::True(_) | Role::Zero(_))
    }

    /// The hook that the arguments of `security_perf_event_open()` name.
    pub(crate) fn hook(first: u64, second: u64) -> Option<Hook> {
        // A pointer is never so small.
        Hook::of_type(first).or_else(|| Hook::of_type(second & u64::from(u32::MAX)))
    }
}
