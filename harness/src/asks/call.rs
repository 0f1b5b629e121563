//! Facts about a call of `perf_event_open(2)` on which the kernel's checks depend.

use perfsec_wire::attr::{Address, BranchSampleType, Event, PerfEventAttr, SampleType};
use perfsec_wire::step::{OpenFlag, PerfEventOpen, Task};

/// A property of the event to open, or of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFact {
    /// The branch stack includes the kernel or the hypervisor (`perf_copy_attr()`).
    KernelBranches,
    /// `exclude_kernel` is not set (`perf_event_open()`).
    MonitorsKernel,
    /// `text_poke` is set (`perf_event_open()`).
    TextPoke,
    /// Call chains include the kernel (`perf_event_open()`).
    KernelCallchain,
    /// `namespaces` is set (`perf_event_open()`).
    Namespaces,
    /// `PERF_SAMPLE_PHYS_ADDR` (`perf_event_open()`).
    PhysicalAddresses,
    /// `PERF_SAMPLE_REGS_INTR` (`perf_event_open()`).
    InterruptRegisters,
    /// The tracepoint `ftrace:function` (`perf_trace_event_perm()`).
    TracesFunctions,
    /// `PERF_SAMPLE_RAW`, except from the task's own system calls (`perf_trace_event_perm()`,
    /// `TRACE_EVENT_FL_CAP_ANY`).
    RawTracepoint,
    /// The kprobe PMU (`perf_kprobe_event_init()`).
    Kprobe,
    /// The uprobe PMU (`perf_uprobe_event_init()`).
    Uprobe,
    /// A breakpoint on a kernel address, which `exclude_kernel` forbids (`hw_breakpoint_parse()`).
    KernelBreakpoint,
    /// Intel's branch trace store with `exclude_kernel` (`bts_event_init()`).
    BranchTraceStore,
    /// Every task on a CPU, or a cgroup (`find_get_context()`).
    EveryTask,
    /// `sigtrap` is set (`perf_check_permission()`).
    SendsSignals,
}

impl CallFact {
    /// All of them, by the names that functions.toml uses.
    pub const ALL: [(&'static str, Self); 15] = [
        ("kernel-branches", Self::KernelBranches),
        ("monitors-kernel", Self::MonitorsKernel),
        ("text-poke", Self::TextPoke),
        ("kernel-callchain", Self::KernelCallchain),
        ("namespaces", Self::Namespaces),
        ("physical-addresses", Self::PhysicalAddresses),
        ("interrupt-registers", Self::InterruptRegisters),
        ("traces-functions", Self::TracesFunctions),
        ("raw-tracepoint", Self::RawTracepoint),
        ("kprobe", Self::Kprobe),
        ("uprobe", Self::Uprobe),
        ("kernel-breakpoint", Self::KernelBreakpoint),
        ("branch-trace-store", Self::BranchTraceStore),
        ("every-task", Self::EveryTask),
        ("sends-signals", Self::SendsSignals),
    ];

    /// The fact as the reason for a check, as a clause.
    #[must_use]
    pub const fn because(self) -> &'static str {
        match self {
            Self::KernelBranches => "the branch stack includes branches in the kernel",
            Self::MonitorsKernel => "the event monitors the kernel (exclude_kernel is not set)",
            Self::TextPoke => "the event records changes of kernel text",
            Self::KernelCallchain => {
                "call chains include kernel functions (exclude_callchain_kernel is not set)"
            }
            Self::Namespaces => "recording namespaces needs CAP_PERFMON at every level",
            Self::PhysicalAddresses => "samples contain physical addresses",
            Self::InterruptRegisters => "samples contain the registers at the interrupt",
            Self::TracesFunctions => "the event traces kernel functions",
            Self::RawTracepoint => "samples contain a tracepoint's raw data",
            Self::Kprobe => "the event sets a kprobe, which needs CAP_PERFMON at every level",
            Self::Uprobe => {
                "a uprobe needs CAP_SYS_ADMIN at every level since CVE-2025-38466; before, \
                 CAP_PERFMON was enough"
            }
            Self::KernelBreakpoint => {
                "a breakpoint on a kernel address needs CAP_SYS_ADMIN; CAP_PERFMON is not enough"
            }
            Self::BranchTraceStore => {
                "a branch trace store leaks kernel addresses even if exclude_kernel is set"
            }
            Self::EveryTask => "the event monitors every task on a CPU, or a cgroup",
            Self::SendsSignals => "the event sends signals (sigtrap is set)",
        }
    }

    /// True if it holds for this call.
    #[must_use]
    pub fn holds(self, call: &PerfEventOpen) -> bool {
        let attr = &call.attr;
        let samples = |kind: SampleType| attr.sample_type.contains(&kind);
        let every_task = call.pid == Task::Every || call.flags.contains(&OpenFlag::PidCgroup);
        match self {
            Self::KernelBranches => {
                samples(SampleType::BranchStack) && records_kernel_branches(attr)
            }
            Self::MonitorsKernel => !attr.exclude_kernel,
            Self::TextPoke => attr.text_poke,
            Self::KernelCallchain => {
                samples(SampleType::Callchain) && !attr.exclude_callchain_kernel
            }
            Self::Namespaces => attr.namespaces,
            Self::PhysicalAddresses => samples(SampleType::PhysAddr),
            Self::InterruptRegisters => samples(SampleType::RegsIntr),
            Self::TracesFunctions => matches!(
                &attr.event,
                Event::Tracepoint { category, name } if category == "ftrace" && name == "function"
            ),
            Self::RawTracepoint => match &attr.event {
                Event::Tracepoint { category, .. } => {
                    let syscalls = matches!(category.as_str(), "syscalls" | "raw_syscalls");
                    samples(SampleType::Raw) && (every_task || !syscalls)
                }
                Event::Kprobe(_) => samples(SampleType::Raw),
                // init_trace_event_call() of trace_uprobe.c sets TRACE_EVENT_FL_CAP_ANY.
                Event::Uprobe => samples(SampleType::Raw) && every_task,
                _ => false,
            },
            Self::Kprobe => matches!(attr.event, Event::Kprobe(_)),
            Self::Uprobe => matches!(attr.event, Event::Uprobe),
            Self::KernelBreakpoint => {
                let on_kernel =
                    matches!(attr.event, Event::Breakpoint { address: Address::Kernel, .. });
                on_kernel && !attr.exclude_kernel
            }
            Self::BranchTraceStore => attr.event.pmu() == Some("intel_bts") && attr.exclude_kernel,
            Self::EveryTask => every_task,
            Self::SendsSignals => attr.sigtrap,
        }
    }
}

/// True if the effective mask of a branch stack includes the kernel or the hypervisor
/// (`perf_copy_attr()`).
fn records_kernel_branches(attr: &PerfEventAttr) -> bool {
    use BranchSampleType::{Hv, Kernel, User};
    let has = |bit: BranchSampleType| attr.branch_sample_type.contains(&bit);
    if has(User) || has(Kernel) || has(Hv) {
        return has(Kernel) || has(Hv);
    }
    !attr.exclude_kernel || !attr.exclude_hv
}
