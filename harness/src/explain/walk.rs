//! The checks that `perf_event_open()` makes for an event, in its order.
//!
//! They are those of kernel/events/core.c from 5.10 to 7.3. A check that only some versions make
//! has the releases, as the cases about it do.

use perfsec_wire::attr::{Address, BranchSampleType, Event, PerfEventAttr, SampleType};
use perfsec_wire::caps::{KILL, SYS_ADMIN};
use perfsec_wire::step::{OpenFlag, PerfEventOpen, Task};

use crate::case::Circumstances;
use crate::errno::Errno;
use crate::kernel::FixedIn;

/// An event to be opened on a kernel.
#[derive(Clone, Copy, Debug)]
pub struct EventWalk<'a> {
    /// The system call's arguments.
    pub call: &'a PerfEventOpen,
    /// `kernel.perf_event_paranoid`
    pub level: i32,
    /// The kernel.
    pub kernel: Circumstances<'a>,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkCheck {
    /// The question that it asks.
    pub question: WalkQuestion,
    /// The kernel function that makes it.
    pub function: &'static str,
    /// The reason, as a clause.
    pub because: &'static str,
    /// The errno if capabilities refuse; if SELinux refuses, it is always EACCES.
    pub refused: Errno,
    /// True if the call continues after a refusal, because a later check may pass instead.
    pub goes_on: bool,
}

/// The question of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkQuestion {
    /// `perf_event { NAME }`
    Hook(&'static str),
    /// `perfmon_capable()`: CAP_PERFMON, or else CAP_SYS_ADMIN.
    Perfmon,
    /// `capable()`: only this capability.
    Capability(u32),
    /// `ptrace_may_access()`
    Ptrace,
    /// `security_locked_down()`
    Lockdown,
}

/// perf: Require kernel access for text poke events (CVE-2026-98655)
const TEXT_POKE: &str = "6.1.191, 6.12.113, 7.2.11";
/// perf/core: WalkCheck kernel access when kernel callchains are requested
const CALLCHAIN: &str = "6.12.113, 7.2.11";
/// perf: Revert to requiring CAP_SYS_ADMIN for uprobes (CVE-2025-38466)
const UPROBE: &str = "5.10.240, 6.1.146, 6.12.39, 6.16";
/// perf: Fix required permissions if sigtrap is requested
const SIGTRAP: &str = "5.14";

impl EventWalk<'_> {
    /// All checks to the end of the call, as if none refused.
    #[must_use]
    pub fn checks(&self) -> Vec<WalkCheck> {
        let attr = &self.call.attr;
        let mut asked = Vec::new();
        let samples = |kind: SampleType| attr.sample_type.contains(&kind);
        if samples(SampleType::BranchStack) && records_kernel_branches(attr) {
            self.kernel(
                &mut asked,
                "perf_copy_attr",
                "the branch stack includes branches in the kernel",
            );
        }
        let debian = self.kernel.distribution == Some("debian");
        if debian && self.level > 2 {
            asked.push(check(
                WalkQuestion::Capability(SYS_ADMIN),
                "perf_event_open",
                "Debian's level 3 reserves perf_event_open() for CAP_SYS_ADMIN, and CAP_PERFMON \
                 does not count",
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
            self.kernel(&mut asked, "perf_event_open", "samples contain physical addresses");
        }
        if samples(SampleType::RegsIntr) {
            asked.push(check(
                WalkQuestion::Lockdown,
                "perf_event_open",
                "samples contain the registers at the interrupt",
            ));
        }
        self.pmu(&mut asked);
        self.target(&mut asked);
        asked
    }

    fn has(&self, releases: &str) -> bool {
        releases.parse::<FixedIn>().is_ok_and(|fixed| fixed.has(self.kernel.version))
    }

    /// The reason why the event needs `perf_allow_kernel()`, if it does.
    fn why_kernel(&self) -> Option<&'static str> {
        let attr = &self.call.attr;
        if !attr.exclude_kernel {
            Some("the event monitors the kernel (exclude_kernel is not set)")
        } else if attr.text_poke && self.has(TEXT_POKE) {
            Some("the event records changes of kernel text")
        } else if attr.sample_type.contains(&SampleType::Callchain)
            && !attr.exclude_callchain_kernel
            && self.has(CALLCHAIN)
        {
            Some("call chains include kernel functions (exclude_callchain_kernel is not set)")
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

    /// The checks of the event's PMU.
    fn pmu(&self, asked: &mut Vec<WalkCheck>) {
        let attr = &self.call.attr;
        let task = self.has_task();
        match &attr.event {
            Event::Tracepoint { category, name } => {
                let function = category == "ftrace" && name == "function";
                let raw = attr.sample_type.contains(&SampleType::Raw);
                // TRACE_EVENT_FL_CAP_ANY: a task may trace its own system calls.
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
                asked.push(check(WalkQuestion::Lockdown, function, "the event sets a kprobe"));
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
                        "a breakpoint on a kernel address needs CAP_SYS_ADMIN; CAP_PERFMON is not \
                         enough",
                    )
                });
            }
            _ => {}
        }
    }

    /// `perf_allow_tracepoint()`, whose errno differs from the other checks.
    fn tracepoint(&self, asked: &mut Vec<WalkCheck>) {
        let because = "the event reads raw tracepoint data, or traces functions";
        let function = "perf_trace_event_perm";
        if self.level > -1 {
            let refused = Errno::EPERM;
            asked.push(WalkCheck { refused, ..check(WalkQuestion::Perfmon, function, because) });
        }
        asked.push(check(WalkQuestion::Hook("tracepoint"), function, because));
    }

    /// True if the event is attached to a task.
    fn has_task(&self) -> bool {
        self.call.pid != Task::Every && !self.call.flags.contains(&OpenFlag::PidCgroup)
    }

    /// The checks that protect the monitored tasks.
    fn target(&self, asked: &mut Vec<WalkCheck>) {
        if !self.has_task() {
            let because = "the event monitors every task on a CPU, or a cgroup";
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
                "with CAP_PERFMON the event may monitor any process; without it ptrace access \
                 decides, which a process always has to itself",
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
            "the caller must be allowed to trace the monitored process",
        ));
    }
}

fn check(question: WalkQuestion, function: &'static str, because: &'static str) -> WalkCheck {
    WalkCheck { question, function, because, refused: Errno::EACCES, goes_on: false }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::LazyLock;

    use perfsec_wire::Step;
    use rstest::rstest;

    use super::*;
    use crate::case::Library;
    use crate::explain::assign::assign;
    use crate::kernel::KernelVersion;
    use crate::transcript::{CallResult, Effect};

    static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::built_in().unwrap());

    fn kernel(version: (u32, u32, u32)) -> Circumstances<'static> {
        let version = KernelVersion::new(version.0, version.1, version.2);
        Circumstances::hypothetical(version, Some("debian"))
    }

    /// In a domain that is allowed everything, a subject with CAP_PERFMON meets every check.
    #[rstest]
    #[case((5, 10, 262))]
    #[case((6, 1, 192))]
    #[case((7, 3, 4))]
    fn the_walk_checks_perfmon_as_often_as_the_suite_observes(#[case] version: (u32, u32, u32)) {
        let kernel = kernel(version);
        let perfmon = "perfmon".parse().unwrap();
        let mut compared = 0;
        for case in LIBRARY.cases.iter().filter(|case| case.name.starts_with("open/")) {
            let [Step::PerfEventOpen(call)] = case.steps.as_slice() else { continue };
            for at in case.axes.coordinates() {
                let expected = case.expected(&at, &kernel.into()).least();
                let fd = CallResult::Name("fd".to_owned());
                let opened =
                    expected.transcript().calls.iter().any(|call| call.head.result() == Some(&fd));
                if at.domain != "all_t" || at.grant != perfmon || !opened {
                    continue;
                }
                let open = EventWalk { call, level: at.paranoid, kernel };
                let asked = open
                    .checks()
                    .iter()
                    .filter(|check| check.question == WalkQuestion::Perfmon)
                    .count();
                let granted: Effect = "cap perfmon = granted".parse().unwrap();
                let seen = expected.transcript().effects().filter(|it| **it == granted).count();
                if case.unmet_requirement(&kernel).is_none() {
                    assert_eq!(asked, seen, "{}", case.cell_name(&at));
                    compared += 1;
                }
            }
        }
        assert!(compared > 20, "{compared}");
    }

    /// Every check of perf in every transcript of the suite is in the walk, at its place. Otherwise
    /// a `cap` or `avc` line about perf would be explained wrongly.
    #[rstest]
    #[case((5, 10, 262))]
    #[case((6, 1, 192))]
    #[case((6, 12, 117))]
    #[case((7, 3, 4))]
    fn the_walk_has_every_check_that_the_suite_observes(#[case] version: (u32, u32, u32)) {
        let kernel = kernel(version);
        let mut unexplained = BTreeSet::new();
        for case in &LIBRARY.cases {
            if case.unmet_requirement(&kernel).is_some() {
                continue;
            }
            for at in case.axes.coordinates() {
                let expected = case.expected(&at, &kernel.into()).least();
                let mut steps = case.steps.iter();
                for call in &expected.transcript().calls {
                    let is = |step: &&Step| call.head.syscall().is_some_and(|it| it.is_of(step));
                    let Some(Step::PerfEventOpen(open)) = steps.find(is) else { continue };
                    let open = EventWalk { call: open, level: at.paranoid, kernel };
                    for one in assign(&call.effects, &open.checks()) {
                        let about_perf = match &one.effect {
                            Effect::Cap(cap) => !cap.unaudited,
                            Effect::Avc(avc) => {
                                matches!(avc.field("tclass"), Some("perf_event" | "lockdown"))
                            }
                            _ => false,
                        };
                        if about_perf && one.check.is_none() {
                            let name = case.cell_name(&at);
                            unexplained.insert(format!("{name}: {}", one.effect));
                        }
                    }
                }
            }
        }
        assert_eq!(unexplained, BTreeSet::new());
    }
}
