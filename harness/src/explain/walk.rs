//! The questions that `perf_event_open()` asks for an event, in the order in which it asks.
//!
//! Read from kernel/events/core.c of 5.10 to 7.3; what a version asks that another does not carries the
//! releases, as the cases about it do.

use perfsec_wire::attr::{Address, BranchSampleType, Event, PerfEventAttr, SampleType};
use perfsec_wire::step::{OpenFlag, PerfEventOpen, Task};

use crate::case::Circumstances;
use crate::errno::Errno;
use crate::kernel::FixedIn;

/// An event that somebody opens somewhere.
#[derive(Clone, Copy, Debug)]
pub struct EventWalk<'a> {
    /// What is opened.
    pub call: &'a PerfEventOpen,
    /// `kernel.perf_event_paranoid`
    pub level: i32,
    /// The kernel.
    pub kernel: Circumstances<'a>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCheck {
    /// What is asked.
    pub question: WalkQuestion,
    /// The function that asks.
    pub function: &'static str,
    /// Why it asks.
    pub because: &'static str,
    /// The errno when capabilities refuse it; SELinux's own refusal is always EACCES.
    pub refused: Errno,
    /// Whether the call goes on when it is refused: another question may stand for it.
    pub goes_on: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkQuestion {
    /// `perf_event { NAME }`
    Hook(&'static str),
    /// `perfmon_capable()`: CAP_PERFMON, or else CAP_SYS_ADMIN.
    Perfmon,
    /// This capability alone.
    Capability(u32),
    /// `ptrace_may_access()`
    Ptrace,
    /// `security_locked_down()`
    Lockdown,
}

/// CAP_SYS_ADMIN
pub(super) const SYS_ADMIN: u32 = 21;
/// CAP_KILL
const KILL: u32 = 5;

/// perf: Require kernel access for text poke events (CVE-2026-98655)
const TEXT_POKE: &str = "6.1.191, 6.12.113, 7.2.11";
/// perf/core: WalkCheck kernel access when kernel callchains are requested
const CALLCHAIN: &str = "6.12.113, 7.2.11";
/// perf: Revert to requiring CAP_SYS_ADMIN for uprobes (CVE-2025-38466)
const UPROBE: &str = "5.10.240, 6.1.146, 6.12.39, 6.16";
/// perf: Fix required permissions if sigtrap is requested
const SIGTRAP: &str = "5.14";

impl EventWalk<'_> {
    /// Every question, up to the end, as if none were refused.
    #[must_use]
    pub fn checks(&self) -> Vec<WalkCheck> {
        let attr = &self.call.attr;
        let mut asked = Vec::new();
        let samples = |kind: SampleType| attr.sample_type.contains(&kind);
        if samples(SampleType::BranchStack) && branches_of_the_kernel(attr) {
            self.kernel(
                &mut asked,
                "perf_copy_attr",
                "the branch stack holds the kernel's branches",
            );
        }
        let debian = self.kernel.distribution == Some("debian");
        if debian && self.level > 2 {
            asked.push(check(
                WalkQuestion::Capability(SYS_ADMIN),
                "perf_event_open",
                "Debian's level 3 leaves perf_event_open() to CAP_SYS_ADMIN, and CAP_PERFMON does not count",
            ));
        }
        asked.push(check(
            WalkQuestion::Hook("open"),
            "perf_event_open",
            "every event needs { open }",
        ));
        if let Some(because) = self.why_kernel() {
            self.kernel(&mut asked, "perf_event_open", because);
        }
        if attr.namespaces {
            asked.push(check(
                WalkQuestion::Perfmon,
                "perf_event_open",
                "recording namespaces needs CAP_PERFMON at every level",
            ));
        }
        if samples(SampleType::PhysAddr) {
            self.kernel(&mut asked, "perf_event_open", "samples hold physical addresses");
        }
        if samples(SampleType::RegsIntr) {
            asked.push(check(
                WalkQuestion::Lockdown,
                "perf_event_open",
                "samples hold the registers as they were at the interrupt",
            ));
        }
        self.pmu(&mut asked);
        self.whom(&mut asked);
        asked
    }

    fn has(&self, releases: &str) -> bool {
        releases.parse::<FixedIn>().is_ok_and(|fixed| fixed.has(self.kernel.version))
    }

    /// Why the event needs the kernel's side, if it does.
    fn why_kernel(&self) -> Option<&'static str> {
        let attr = &self.call.attr;
        if !attr.exclude_kernel {
            Some("the event sees the kernel's side (exclude_kernel is not set)")
        } else if attr.text_poke && self.has(TEXT_POKE) {
            Some("the event records changes of the kernel's text")
        } else if attr.sample_type.contains(&SampleType::Callchain)
            && !attr.exclude_callchain_kernel
            && self.has(CALLCHAIN)
        {
            Some("call chains hold the kernel's functions (exclude_callchain_kernel is not set)")
        } else {
            None
        }
    }

    /// `perf_allow_kernel()`
    fn kernel(&self, asked: &mut Vec<WalkCheck>, function: &'static str, because: &'static str) {
        if self.level > 1 {
            asked.push(check(WalkQuestion::Perfmon, function, because));
        }
        asked.push(check(WalkQuestion::Hook("kernel"), function, because));
    }

    /// What the event's PMU asks.
    fn pmu(&self, asked: &mut Vec<WalkCheck>) {
        let attr = &self.call.attr;
        let task = self.of_a_task();
        match &attr.event {
            Event::Tracepoint { category, name } => {
                let function = category == "ftrace" && name == "function";
                let raw = attr.sample_type.contains(&SampleType::Raw);
                // TRACE_EVENT_FL_CAP_ANY: those of one's own are nobody else's business.
                let any = matches!(category.as_str(), "syscalls" | "raw_syscalls") && task;
                if function || raw && !any {
                    self.tracepoint(asked);
                }
            }
            Event::Kprobe(_) => {
                let function = "perf_kprobe_event_init";
                asked.push(check(
                    WalkQuestion::Perfmon,
                    function,
                    "a kprobe needs CAP_PERFMON at every level",
                ));
                asked.push(check(WalkQuestion::Lockdown, function, "a kprobe is set"));
                if attr.sample_type.contains(&SampleType::Raw) {
                    self.tracepoint(asked);
                }
            }
            Event::Uprobe => {
                let (question, because) = match self.has(UPROBE) {
                    true => (
                        WalkQuestion::Capability(SYS_ADMIN),
                        "a uprobe needs CAP_SYS_ADMIN at every level, since CVE-2025-38466",
                    ),
                    false => (WalkQuestion::Perfmon, "a uprobe needs CAP_PERFMON at every level"),
                };
                asked.push(check(question, "perf_uprobe_event_init", because));
            }
            Event::Breakpoint { address: Address::Kernel, .. } if !attr.exclude_kernel => {
                asked.push(WalkCheck {
                    refused: Errno::EPERM,
                    ..check(
                        WalkQuestion::Capability(SYS_ADMIN),
                        "hw_breakpoint_parse",
                        "a breakpoint on an address of the kernel needs CAP_SYS_ADMIN; CAP_PERFMON is not enough",
                    )
                });
            }
            _ => {}
        }
    }

    /// `perf_allow_tracepoint()`, whose errno is another than its neighbours'.
    fn tracepoint(&self, asked: &mut Vec<WalkCheck>) {
        let because = "the tracepoint's raw data is read, or functions are traced";
        let function = "perf_trace_event_perm";
        if self.level > -1 {
            let refused = Errno::EPERM;
            asked.push(WalkCheck { refused, ..check(WalkQuestion::Perfmon, function, because) });
        }
        asked.push(check(WalkQuestion::Hook("tracepoint"), function, because));
    }

    /// Whether it is attached to a task.
    fn of_a_task(&self) -> bool {
        self.call.pid != Task::Every && !self.call.flags.contains(&OpenFlag::PidCgroup)
    }

    /// What is asked for the sake of those that are watched.
    fn whom(&self, asked: &mut Vec<WalkCheck>) {
        if !self.of_a_task() {
            let because = "the event watches every task of a CPU, or a cgroup";
            if self.level > 0 {
                asked.push(check(WalkQuestion::Perfmon, "find_get_context", because));
            }
            asked.push(check(WalkQuestion::Hook("cpu"), "find_get_context", because));
            return;
        }
        let function = if self.has(SIGTRAP) { "perf_check_permission" } else { "perf_event_open" };
        asked.push(WalkCheck {
            goes_on: true,
            ..check(
                WalkQuestion::Perfmon,
                function,
                "with CAP_PERFMON any process may be watched; without it ptrace access decides, which one \
                 always has to oneself",
            )
        });
        if self.call.attr.sigtrap && self.has(SIGTRAP) {
            asked.push(WalkCheck {
                goes_on: true,
                ..check(
                    WalkQuestion::Capability(KILL),
                    function,
                    "the event sends signals (attr.sigtrap)",
                )
            });
        }
        asked.push(check(
            WalkQuestion::Ptrace,
            function,
            "the process that is watched must be one that may be traced",
        ));
    }
}

fn check(question: WalkQuestion, function: &'static str, because: &'static str) -> WalkCheck {
    WalkCheck { question, function, because, refused: Errno::EACCES, goes_on: false }
}

/// Whether the effective mask of a branch stack has the kernel or the hypervisor (`perf_copy_attr()`).
fn branches_of_the_kernel(attr: &PerfEventAttr) -> bool {
    use BranchSampleType::{Hv, Kernel, User};
    let has = |bit: BranchSampleType| attr.branch_sample_type.contains(&bit);
    if has(User) || has(Kernel) || has(Hv) {
        return has(Kernel) || has(Hv);
    }
    !attr.exclude_kernel || !attr.exclude_hv
}
