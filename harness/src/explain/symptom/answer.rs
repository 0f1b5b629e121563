//! Derives the answer to a symptom from the checks of `perf_event_open()`.

use std::collections::BTreeSet;

use perfsec_wire::CapSet;
use perfsec_wire::attr::{Event, Hardware, PerfEventAttr, SampleType};
use perfsec_wire::caps::{PERFMON, SYS_ADMIN};
use perfsec_wire::step::{AttrPlace, OpenFlag, PerfEventOpen, Task};

use super::model::{PerfTool, Symptom};
use super::notes::{
    CONTAINER, MMAP, NOT_EFFECTIVE, OTHER_ERRNO, PROBE, SELINUX_REFUSES, TRACEFS, other_errno,
};
use super::open::{Host, OpenRefusal};
use crate::asks::CallFact;
use crate::case::Circumstances;
use crate::errno::Errno;
use crate::explain::Knowledge;
use crate::explain::text::paragraph;
use crate::kernel::KernelVersion;
use crate::text::{Text, line};

/// The default of `kernel.perf_event_paranoid` upstream.
pub(super) const DEFAULT_LEVEL: i32 = 2;

/// The default on Debian.
pub(super) const DEBIANS_LEVEL: i32 = 3;

impl Symptom {
    /// Explains the symptom on a kernel of this version.
    ///
    /// `distribution` applies if the words name none; `None` covers Debian and upstream kernels.
    #[must_use]
    pub fn explain(
        &self,
        knowledge: &Knowledge,
        version: KernelVersion,
        distribution: Option<&str>,
    ) -> Text {
        let mut out = Text::new();
        let known = self.distribution.as_deref().or(distribution);
        let default = if known == Some("debian") { DEBIANS_LEVEL } else { DEFAULT_LEVEL };
        let level = self.level.unwrap_or(default);
        paragraph(&mut out, 0, &format!("understood: {}", self.understood(level)));
        out.end();
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
            let host = Host { functions: &knowledge.functions, kernel, level };
            if builders.len() > 1 {
                match builder {
                    Some(_) => line!(out, "On Debian kernels:"),
                    None => {
                        line!(out, "On upstream kernels, where level {level} means the same as 2:");
                    }
                }
            }
            self.answer(&mut out, &host);
            out.end();
            rules.push(self.check_rules(&host));
        }
        if matches!(self.event, Some(Event::Tracepoint { .. })) && self.root != Some(true) {
            paragraph(&mut out, 0, TRACEFS);
            out.end();
        }
        if self.mmap {
            paragraph(&mut out, 0, MMAP);
            out.end();
        }
        if self.container {
            paragraph(&mut out, 0, CONTAINER);
            out.end();
        }
        // Hooks do not depend on the level.
        let kernel = Circumstances::hypothetical(version, None);
        let host = Host { functions: &knowledge.functions, kernel, level: DEFAULT_LEVEL };
        self.selinux(&mut out, &host, &rules);
        out
    }

    pub(super) fn whole_system(&self) -> bool {
        // Without a command or a process, both monitor the whole system.
        let top = self.tool == Some(PerfTool::Top) && !self.other_process;
        let trace = self.tool == Some(PerfTool::Trace) && !self.other_process && !self.command;
        self.system_wide || self.cgroup || top || trace
    }

    /// The capabilities of the process that opens the event.
    pub(super) fn holder(&self) -> CapSet {
        // capable() checks the initial user namespace, where a container's root may be an ordinary
        // user.
        if self.userns || self.no_capabilities {
            return CapSet::EMPTY;
        }
        let set = |caps: &BTreeSet<u32>| {
            caps.iter().fold(CapSet::EMPTY, |set, cap| set.with(CapSet::one(*cap)))
        };
        if self.root == Some(true) && self.capabilities.is_empty() && !self.container {
            return CapSet(CapSet::ALL.0 & !set(&self.lacks).0);
        }
        set(&self.capabilities)
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
        let (group, attr_at, bind) = (None, AttrPlace::Mapped, String::new());
        PerfEventOpen { attr, pid, cpu, group, flags, attr_at, bind }
    }

    /// The refusal of a holder, apart from SELinux and lockdown.
    pub(super) fn refusal(&self, holder: CapSet, host: &Host<'_>) -> Option<OpenRefusal> {
        self.open(holder, host).refusal
    }

    /// Writes the answer for one kernel.
    fn answer(&self, out: &mut Text, host: &Host<'_>) {
        match self.refusal(self.holder(), host) {
            None => self.allowed(out, host),
            Some(refusal) => self.refused(out, &refusal, host),
        }
    }

    fn refused(&self, out: &mut Text, refusal: &OpenRefusal, host: &Host<'_>) {
        let (function, because, errno) = (refusal.function(), refusal.because(), refusal.errno);
        paragraph(out, 0, &format!("{function} refuses with {errno}: {because}."));
        paragraph(
            out,
            0,
            &format!(
                "It asks for {}. The kernel asks SELinux only about effective capabilities, so \
                 there is no AVC record.",
                refusal.asks_for()
            ),
        );
        if let Some(errno) = self.errno.filter(|errno| *errno != refusal.errno) {
            paragraph(
                out,
                0,
                &format!("This refusal does not return {errno}. {}", other_errno(errno)),
            );
        }
        if self.errno != Some(Errno::EPERM) {
            self.retry(out, refusal, host);
        }
        // Another errno means that an earlier refusal came first, which these do not lift.
        if self.errno.is_none_or(|errno| errno == refusal.errno) || self.container {
            let remedies = self.remedies(host).into_iter();
            let texts: Vec<_> = remedies.map(|remedy| remedy.text).collect();
            paragraph(out, 0, &format!("least privilege: {}.", texts.join("; or ")));
        }
    }

    /// Writes what perf does after a refusal: perf stat and perf record retry without the kernel.
    fn retry(&self, out: &mut Text, refusal: &OpenRefusal, host: &Host<'_>) {
        let counter = matches!(self.event, None | Some(Event::Hardware(_)));
        let falls_back = refusal.because() == CallFact::MonitorsKernel.because()
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
        let result = match again.refusal(self.holder(), host) {
            None => "which this user may do".to_owned(),
            Some(refusal) => format!(
                "and {} refuses that too, with {}: {}",
                refusal.function(),
                refusal.errno,
                refusal.because()
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

    fn allowed(&self, out: &mut Text, host: &Host<'_>) {
        paragraph(out, 0, "The level and the capabilities allow it.");
        if self.mode != Some(perfsec_wire::Mode::Permissive) {
            paragraph(out, 0, SELINUX_REFUSES);
        }
        let holder = self.holder();
        if !holder.is_empty() {
            paragraph(out, 0, NOT_EFFECTIVE);
        }
        if let Some(errno) = self.errno {
            paragraph(out, 0, other_errno(errno));
        }
        if self.refusal(CapSet::EMPTY, host).is_none() {
            paragraph(out, 0, "No capability is needed at this level.");
        } else if holder.has(SYS_ADMIN) && self.refusal(CapSet::one(PERFMON), host).is_none() {
            paragraph(out, 0, "CAP_PERFMON alone would be enough (perf-security.rst).");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rstest::rstest;

    use super::*;

    const NEW: KernelVersion = KernelVersion::new(7, 3, 4);

    static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| Knowledge::built_in().unwrap());

    fn answer(text: &str) -> String {
        let text = Symptom::read(text).unwrap().explain(&KNOWLEDGE, NEW, None).plain();
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
        "perf_allow_kernel(), called by perf_event_open(), refuses with EACCES: the event monitors \
         the kernel"
    )]
    #[case::falls_back(
        "perf stat as user, paranoid 2",
        "perf stat then retries without the kernel"
    )]
    #[case::cpu(
        "perf stat -a as user, paranoid 1",
        "perf_allow_cpu(), called by find_get_context(), called by perf_event_open(), refuses with \
         EACCES"
    )]
    #[case::cpu_level(
        "perf stat -a as user, paranoid 1",
        "with `sysctl kernel.perf_event_paranoid=0`"
    )]
    #[case::cpu_free("perf stat -a as user, paranoid 0", "The level and the capabilities allow it")]
    #[case::raw(
        "perf record -e sched:sched_switch as user, paranoid 0",
        "called by perf_trace_event_perm(), called by perf_event_open(), refuses with EPERM"
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
        "called by perf_trace_event_perm(), called by perf_event_open(), refuses with EPERM"
    )]
    #[case::another_user(
        "perf stat -p 1 as user, paranoid 1",
        "ptrace_may_access(READ), called by perf_check_permission(), called by perf_event_open(), \
         refuses with EACCES"
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
        "hw_breakpoint_parse(), called by perf_event_open(), refuses with EPERM"
    )]
    #[case::cgroup(
        "perf stat -G web as user, paranoid 1",
        "called by find_get_context(), called by perf_event_open(), refuses with EACCES"
    )]
    #[case::precise("perf record -e cycles:pp as user, paranoid 2", "monitors the kernel")]
    #[case::all_user("perf stat --all-user as user, paranoid 2", "capabilities allow it")]
    #[case::namespaces(
        "perf record --namespaces as user, paranoid -1",
        "recording namespaces needs CAP_PERFMON at every level"
    )]
    #[case::negated(
        "perf stat -a as root without cap_perfmon and cap_sys_admin, paranoid 2",
        "perf_allow_kernel(), called by perf_event_open(), refuses with EACCES"
    )]
    #[case::assumes_another(
        "perf stat -p 1 as user, paranoid 2",
        "called by perf_check_permission(), called by perf_event_open(), refuses that too"
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
        "and perf_allow_kernel(), called by perf_event_open(), refuses that too, with EACCES: call \
         chains"
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
        "perf_allow_kernel(), called by perf_event_open(), refuses with EACCES: the event monitors"
    )]
    #[case::container_filter(
        "perf stat as root in podman, EPERM",
        "a seccomp filter that refuses perf_event_open() with EPERM"
    )]
    fn an_answer_follows_from_the_checks(#[case] symptom: &str, #[case] words: &str) {
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
