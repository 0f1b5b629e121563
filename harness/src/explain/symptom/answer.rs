//! Derives the answer to a symptom from the walk through `perf_event_open()`.

use std::collections::BTreeSet;

use perfsec_wire::attr::{Event, Hardware, PerfEventAttr, SampleType};
use perfsec_wire::caps::{PERFMON, SYS_ADMIN, SYS_PTRACE};
use perfsec_wire::step::{OpenFlag, PerfEventOpen, Task};

use super::model::{PerfTool, Symptom};
use super::notes::{
    CONTAINER, MMAP, NOT_EFFECTIVE, OTHER_ERRNO, PROBE, SELINUX_REFUSES, TRACEFS, other_errno,
};
use crate::case::Circumstances;
use crate::errno::Errno;
use crate::explain::text::paragraph;
use crate::explain::walk::{EventWalk, WalkCheck, WalkQuestion};
use crate::grant::cap_name;
use crate::kernel::KernelVersion;

/// The default of `kernel.perf_event_paranoid` upstream.
pub(super) const DEFAULT_LEVEL: i32 = 2;

/// The default on Debian.
pub(super) const DEBIANS_LEVEL: i32 = 3;

/// The capabilities of the process that opens the event.
#[derive(Clone, Debug)]
pub(super) struct Privileges {
    capabilities: BTreeSet<u32>,
    /// It holds every capability that is not in `lacks`.
    all: bool,
    lacks: BTreeSet<u32>,
}

impl Privileges {
    pub(super) fn with(capabilities: &[u32]) -> Self {
        let capabilities = capabilities.iter().copied().collect();
        Self { capabilities, all: false, lacks: BTreeSet::new() }
    }

    pub(super) fn has(&self, capability: u32) -> bool {
        self.all && !self.lacks.contains(&capability) || self.capabilities.contains(&capability)
    }
}

impl Symptom {
    /// Explains the symptom on a kernel of this version.
    ///
    /// `distribution` applies if the words name none; `None` covers Debian and upstream kernels.
    #[must_use]
    pub fn explain(&self, version: KernelVersion, distribution: Option<&str>) -> String {
        let mut out = String::new();
        let known = self.distribution.as_deref().or(distribution);
        let default = if known == Some("debian") { DEBIANS_LEVEL } else { DEFAULT_LEVEL };
        let level = self.level.unwrap_or(default);
        paragraph(&mut out, 0, &format!("understood: {}", self.understood(level)));
        out.push('\n');
        if self.tool == Some(PerfTool::Probe) {
            paragraph(&mut out, 0, PROBE);
            return out;
        }
        if let Some(errno) = self.errno.filter(|errno| !errno.is_denial()) {
            paragraph(&mut out, 0, &format!("{errno}: {OTHER_ERRNO}"));
            return out;
        }
        if self.mmap && self.errno == Some(Errno::EPERM) {
            paragraph(&mut out, 0, MMAP);
            return out;
        }
        // The only difference between distributions is Debian's level 3.
        let builders: Vec<Option<&str>> = match known {
            Some("debian") => vec![Some("debian")],
            None if level > 2 => vec![Some("debian"), None],
            _ => vec![None],
        };
        let mut rules = Vec::new();
        for builder in &builders {
            let kernel = Circumstances::hypothetical(version, *builder);
            if builders.len() > 1 {
                out.push_str(&match builder {
                    Some(_) => "On Debian kernels:\n".to_owned(),
                    None => {
                        format!("On upstream kernels, where level {level} means the same as 2:\n")
                    }
                });
            }
            self.answer(&mut out, &kernel, level);
            out.push('\n');
            rules.push(self.check_rules(&kernel, level));
        }
        if matches!(self.event, Some(Event::Tracepoint { .. })) && self.root != Some(true) {
            paragraph(&mut out, 0, TRACEFS);
            out.push('\n');
        }
        if self.mmap {
            paragraph(&mut out, 0, MMAP);
            out.push('\n');
        }
        if self.container {
            paragraph(&mut out, 0, CONTAINER);
            out.push('\n');
        }
        self.selinux(&mut out, version, &rules);
        out
    }

    pub(super) fn whole_system(&self) -> bool {
        // Without a command or a process, both monitor the whole system.
        let top = self.tool == Some(PerfTool::Top) && !self.other_process;
        let trace = self.tool == Some(PerfTool::Trace) && !self.other_process && !self.command;
        self.system_wide || self.cgroup || top || trace
    }

    pub(super) fn holder(&self) -> Privileges {
        // capable() checks the initial user namespace, where a container's root may be an ordinary
        // user.
        if self.userns || self.no_capabilities {
            return Privileges::with(&[]);
        }
        let all = self.root == Some(true) && self.capabilities.is_empty() && !self.container;
        Privileges { capabilities: self.capabilities.clone(), all, lacks: self.lacks.clone() }
    }

    /// The event that the tool opens first.
    pub(super) fn call(&self) -> PerfEventOpen {
        let mut attr = PerfEventAttr {
            event: Event::Hardware(Hardware::CpuCycles),
            exclude_kernel: self.user_side,
            exclude_user: self.kernel_side,
            namespaces: self.namespaces,
            ..PerfEventAttr::default()
        };
        let event = match (&self.event, self.tool) {
            (Some(named), _) => named.clone(),
            (None, Some(PerfTool::Trace)) => {
                let (category, name) = ("raw_syscalls".to_owned(), "sys_enter".to_owned());
                Event::Tracepoint { category, name }
            }
            (None, _) => attr.event.clone(),
        };
        let samples = !matches!(self.tool, Some(PerfTool::Stat) | None);
        if samples && matches!(event, Event::Tracepoint { .. } | Event::Kprobe(_)) {
            attr.sample_type.push(SampleType::Raw);
        }
        attr.event = event;
        if samples && self.callchains {
            attr.sample_type.push(SampleType::Callchain);
        }
        let pid = match (self.whole_system(), self.other_process) {
            (true, _) => Task::Every,
            (false, true) => Task::Named("other".to_owned()),
            (false, false) => Task::Caller,
        };
        let cpu = if pid == Task::Every { 0 } else { -1 };
        let flags = if self.cgroup { vec![OpenFlag::PidCgroup] } else { Vec::new() };
        PerfEventOpen { attr, pid, cpu, group: None, flags, bind: String::new() }
    }

    /// The first check that refuses the holder, apart from SELinux and lockdown.
    pub(super) fn refusal(
        &self,
        holder: &Privileges,
        kernel: &Circumstances<'_>,
        level: i32,
    ) -> Option<WalkCheck> {
        let call = self.call();
        let open = EventWalk { call: &call, level, kernel: *kernel };
        let mut passed_perfmon = false;
        open.checks().into_iter().find(|check| {
            let granted = match check.question {
                WalkQuestion::Hook(_) | WalkQuestion::Lockdown => true,
                WalkQuestion::Perfmon => holder.has(PERFMON) || holder.has(SYS_ADMIN),
                WalkQuestion::Capability(number) => holder.has(number),
                WalkQuestion::Ptrace => {
                    passed_perfmon || !self.other_process || self.own || holder.has(SYS_PTRACE)
                }
            };
            // If CAP_PERFMON passes, the kernel does not check ptrace access.
            passed_perfmon = check.goes_on && check.question == WalkQuestion::Perfmon && granted;
            !granted && !check.goes_on
        })
    }

    /// Writes the answer for one kernel.
    fn answer(&self, out: &mut String, kernel: &Circumstances<'_>, level: i32) {
        let holder = self.holder();
        match self.refusal(&holder, kernel, level) {
            None => self.allowed(out, &holder, kernel, level),
            Some(check) => self.refused(out, &check, &holder, kernel, level),
        }
    }

    fn refused(
        &self,
        out: &mut String,
        check: &WalkCheck,
        holder: &Privileges,
        kernel: &Circumstances<'_>,
        level: i32,
    ) {
        let asks_for = match check.question {
            WalkQuestion::Perfmon => {
                "CAP_PERFMON, then for CAP_SYS_ADMIN, and the process holds neither".to_owned()
            }
            WalkQuestion::Capability(number) => {
                format!("{}, which the process does not hold", capability_name(number))
            }
            WalkQuestion::Ptrace => {
                "ptrace access to another user's process, because CAP_PERFMON is missing".to_owned()
            }
            WalkQuestion::Hook(_) | WalkQuestion::Lockdown => "SELinux".to_owned(),
        };
        let function = check.function;
        paragraph(
            out,
            0,
            &format!("{function}() refuses with {}: {}.", check.refused, check.because),
        );
        paragraph(
            out,
            0,
            &format!(
                "It asks for {asks_for}. The kernel asks SELinux only about effective \
                 capabilities, so there is no AVC record."
            ),
        );
        if let Some(errno) = self.errno.filter(|errno| *errno != check.refused) {
            paragraph(
                out,
                0,
                &format!("This refusal does not return {errno}. {}", other_errno(errno)),
            );
        }
        if self.errno != Some(Errno::EPERM) {
            self.retry(out, check, holder, kernel, level);
        }
        // Another errno means that an earlier refusal came first, which these do not lift.
        if self.errno.is_none_or(|errno| errno == check.refused) || self.container {
            let remedies = self.remedies(kernel, level).into_iter();
            let texts: Vec<_> = remedies.map(|remedy| remedy.text).collect();
            paragraph(out, 0, &format!("least privilege: {}.", texts.join("; or ")));
        }
    }

    /// Writes what perf does after a refusal: perf stat and perf record retry without the kernel.
    fn retry(
        &self,
        out: &mut String,
        check: &WalkCheck,
        holder: &Privileges,
        kernel: &Circumstances<'_>,
        level: i32,
    ) {
        let counter = matches!(self.event, None | Some(Event::Hardware(_)));
        let falls_back = check.because.contains("exclude_kernel is not set")
            && !self.whole_system()
            && counter
            && !self.kernel_side
            && matches!(self.tool, Some(PerfTool::Stat | PerfTool::Record));
        if !falls_back {
            return;
        }
        let tool = self.tool.map_or("perf", PerfTool::name);
        let mut again = self.clone();
        again.user_side = true;
        let result = match again.refusal(holder, kernel, level) {
            None => "which this user may do".to_owned(),
            Some(check) => format!(
                "and {}() refuses that too, with {}: {}",
                check.function, check.refused, check.because
            ),
        };
        paragraph(
            out,
            0,
            &format!(
                "{tool} then retries without the kernel (and shows its events with `:u`), {result}."
            ),
        );
    }

    fn allowed(
        &self,
        out: &mut String,
        holder: &Privileges,
        kernel: &Circumstances<'_>,
        level: i32,
    ) {
        paragraph(out, 0, "The level and the capabilities allow it.");
        if self.mode != Some(perfsec_wire::Mode::Permissive) {
            paragraph(out, 0, SELINUX_REFUSES);
        }
        if holder.all || !holder.capabilities.is_empty() {
            paragraph(out, 0, NOT_EFFECTIVE);
        }
        if let Some(errno) = self.errno {
            paragraph(out, 0, other_errno(errno));
        }
        let (least, nobody) = (Privileges::with(&[PERFMON]), Privileges::with(&[]));
        let more = holder.all || holder.has(SYS_ADMIN);
        if self.refusal(&nobody, kernel, level).is_none() {
            paragraph(out, 0, "No capability is needed at this level.");
        } else if more && self.refusal(&least, kernel, level).is_none() {
            paragraph(out, 0, "CAP_PERFMON alone would be enough (perf-security.rst).");
        }
    }
}

/// `CAP_PERFMON`
pub(super) fn capability_name(capability: u32) -> String {
    format!("CAP_{}", cap_name(capability).to_uppercase())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NEW: KernelVersion = KernelVersion::new(7, 3, 4);

    fn answer(text: &str) -> String {
        let text = Symptom::read(text).unwrap().explain(NEW, None);
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case::debians_level(
        "perf stat as user with cap_perfmon, paranoid 3",
        "On Debian kernels: perf_event_open() refuses with EACCES: Debian's level 3"
    )]
    #[case::debians_level_upstream(
        "perf stat as user with cap_perfmon, paranoid 3",
        "On upstream kernels, where level 3 means the same as 2: The level and the capabilities \
         allow it"
    )]
    #[case::debians_way_out(
        "perf stat with cap_perfmon, paranoid 3, debian",
        "`sysctl kernel.perf_event_paranoid=2` and CAP_PERFMON"
    )]
    #[case::sys_admin_on_debian(
        "perf stat as user with cap_sys_admin, paranoid 3 on debian",
        "The level and the capabilities allow it"
    )]
    #[case::kernel_side(
        "perf stat as user, paranoid 2",
        "perf_event_open() refuses with EACCES: the event monitors the kernel"
    )]
    #[case::falls_back(
        "perf stat as user, paranoid 2",
        "perf stat then retries without the kernel"
    )]
    #[case::cpu("perf stat -a as user, paranoid 1", "find_get_context() refuses with EACCES")]
    #[case::cpu_level(
        "perf stat -a as user, paranoid 1",
        "with `sysctl kernel.perf_event_paranoid=0`"
    )]
    #[case::cpu_free("perf stat -a as user, paranoid 0", "The level and the capabilities allow it")]
    #[case::raw(
        "perf record -e sched:sched_switch as user, paranoid 0",
        "perf_trace_event_perm() refuses with EPERM"
    )]
    #[case::counted(
        "perf stat -e sched:sched_switch as user, paranoid 0",
        "The level and the capabilities allow it"
    )]
    #[case::own_syscalls(
        "perf trace ls as user, paranoid 1",
        "The level and the capabilities allow it"
    )]
    #[case::all_syscalls(
        "perf trace -a as user, paranoid 1",
        "perf_trace_event_perm() refuses with EPERM"
    )]
    #[case::another_user(
        "perf stat -p 1 as user, paranoid 1",
        "perf_check_permission() refuses with EACCES"
    )]
    #[case::another_user_perfmon(
        "perf stat -p 1 with cap_perfmon, paranoid 2",
        "The level and the capabilities allow it"
    )]
    #[case::too_much(
        "perf record -a with cap_sys_admin, paranoid 2",
        "CAP_PERFMON alone would be enough"
    )]
    #[case::root("perf top as root, paranoid 2", "CAP_PERFMON alone would be enough")]
    #[case::rules(
        "perf stat -a with cap_perfmon in user_t, paranoid 2",
        "allow user_t self:perf_event { cpu kernel open read write }; \
         allow user_t self:capability2 perfmon;"
    )]
    #[case::errno("perf stat as user, paranoid 2, EPERM", "This refusal does not return EPERM")]
    #[case::probe("perf probe as user", "perf probe opens no event")]
    #[case::advised(
        "perf stat -a as user, paranoid 2",
        "self:capability2 perfmon; # if given CAP_PERFMON"
    )]
    #[case::sys_admin_rule(
        "perf stat -a with cap_sys_admin, paranoid 2",
        "allow DOMAIN self:capability sys_admin;"
    )]
    #[case::root_of_debian(
        "perf stat as root on debian, paranoid 3",
        "self:capability2 perfmon; allow DOMAIN self:capability sys_admin;"
    )]
    #[case::uprobe("perf stat -e uprobe as user, paranoid 1", "self:capability sys_admin; #")]
    #[case::kernel_breakpoint(
        "perf record -e mem:0xffffffff81000000:w with cap_perfmon",
        "hw_breakpoint_parse() refuses with EPERM"
    )]
    #[case::cgroup(
        "perf stat -G web as user, paranoid 1",
        "find_get_context() refuses with EACCES"
    )]
    #[case::precise("perf record -e cycles:pp as user, paranoid 2", "monitors the kernel")]
    #[case::all_user("perf stat --all-user as user, paranoid 2", "capabilities allow it")]
    #[case::namespaces(
        "perf record --namespaces as user, paranoid -1",
        "recording namespaces needs CAP_PERFMON at every level"
    )]
    #[case::negated(
        "perf stat -a as root without cap_perfmon and cap_sys_admin, paranoid 2",
        "perf_event_open() refuses with EACCES"
    )]
    #[case::assumes_another(
        "perf stat -p 1 as user, paranoid 2",
        "and perf_check_permission() refuses that too"
    )]
    #[case::own_process("perf stat -p 1, own process, paranoid 1", "capabilities allow it")]
    #[case::own_process_rule(
        "perf stat -p 1 in user_t, own process, paranoid 1",
        "allow user_t DOMAIN_OF_THE_PROCESS:file read;"
    )]
    #[case::own_process_advised(
        "perf stat -p 1, own process, paranoid 2",
        "DOMAIN_OF_THE_PROCESS:file read; # without CAP_PERFMON"
    )]
    #[case::sys_ptrace_rule(
        "perf stat -p 1 with cap_sys_ptrace, paranoid 1",
        "self:capability sys_ptrace; allow DOMAIN DOMAIN_OF_THE_PROCESS:file read;"
    )]
    #[case::call_chains(
        "perf record -g as user, paranoid 2",
        "and perf_event_open() refuses that too, with EACCES: call chains"
    )]
    #[case::cap_add("perf stat -a as root in docker, paranoid 2", "(`--cap-add PERFMON`)")]
    #[case::userns(
        "perf stat -a as root in rootless podman, paranoid 2",
        "least privilege: no capability, with `sysctl kernel.perf_event_paranoid=0` on the host"
    )]
    #[case::mmap("Permission error mapping pages.", "raise kernel.perf_event_mlock_kb")]
    #[case::einval("perf stat as user, EINVAL", "EINVAL: permissions are not the reason")]
    #[case::limited(
        "Access to performance monitoring and observability operations is limited. \
         perf_event_paranoid setting is 2:",
        "perf's message for EACCES or EPERM"
    )]
    #[case::tracefs("perf record -e sched:sched_switch with cap_perfmon", "tracefs")]
    #[case::real_level("perf stat, paranoid 4", "where level 4 means the same as 2")]
    #[case::assumed("perf stat", "(assumed: upstream's default is 2, Debian's 3)")]
    #[case::assumed_of_debian(
        "perf top with cap_perfmon on debian",
        "perf_event_open() refuses with EACCES: Debian's level 3"
    )]
    #[case::nothing_needed(
        "perf stat -a as root, paranoid -1",
        "No capability is needed at this level"
    )]
    #[case::container(
        "perf stat -a as root in a container, paranoid 2",
        "perf_event_open() refuses with EACCES: the event monitors"
    )]
    #[case::container_filter(
        "perf stat as root in podman, EPERM",
        "a seccomp filter that refuses perf_event_open() with EPERM"
    )]
    fn an_answer_follows_from_the_walk(#[case] symptom: &str, #[case] words: &str) {
        let text = answer(symptom);
        assert!(text.contains(words), "{text}");
    }

    #[rstest]
    #[case::perfmon("perf stat -p 1 with cap_perfmon, own process, paranoid 2")]
    #[case::perfmon_for_another_user("perf stat -p 1 with cap_perfmon, paranoid 2")]
    #[case::no_process("perf stat as user, paranoid 1")]
    #[case::only_perfmon_helps("perf stat -p 1 as user, paranoid 1")]
    fn ptrace_access_needs_no_rule_where_it_is_not_asked(#[case] symptom: &str) {
        let text = answer(symptom);
        assert!(text.contains("self:perf_event") && !text.contains("file read"), "{text}");
    }
}
