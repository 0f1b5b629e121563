//! What is said about a symptom: derived from the walk through `perf_event_open()`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perfsec_wire::attr::{Address, Event, Hardware, PerfEventAttr, SampleType};
use perfsec_wire::step::{OpenFlag, PerfEventOpen, Task};

use super::words::{PerfTool, Symptom};
use crate::case::Circumstances;
use crate::errno::Errno;
use crate::explain::text::paragraph;
use crate::explain::walk::{EventWalk, WalkCheck, WalkQuestion};
use crate::grant::cap_name;
use crate::kernel::KernelVersion;

/// CAP_PERFMON
const PERFMON: u32 = 38;
/// CAP_SYS_ADMIN
const SYS_ADMIN: u32 = 21;
/// CAP_SYS_PTRACE
const SYS_PTRACE: u32 = 19;

/// The level of an upstream kernel that nobody changed.
const DEFAULT_LEVEL: i32 = 2;

/// The same of Debian's.
const DEBIANS_LEVEL: i32 = 3;

/// Who opens the event.
#[derive(Clone, Debug)]
struct Privileges {
    capabilities: BTreeSet<u32>,
    all: bool,
    lacks: BTreeSet<u32>,
}

impl Privileges {
    fn of(capabilities: &[u32]) -> Self {
        let capabilities = capabilities.iter().copied().collect();
        Self { capabilities, all: false, lacks: BTreeSet::new() }
    }

    fn has(&self, capability: u32) -> bool {
        self.all && !self.lacks.contains(&capability) || self.capabilities.contains(&capability)
    }
}

impl Symptom {
    /// The explanation, on kernels of this version.
    ///
    /// `distribution` is who built it, when that is known otherwise than from the words.
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
        // Only there do kernels differ by who built them.
        let builders: Vec<Option<&str>> = match known {
            Some("debian") => vec![Some("debian")],
            None if level > 2 => vec![Some("debian"), None],
            _ => vec![None],
        };
        let mut rules = Vec::new();
        for builder in &builders {
            let kernel = Circumstances { version, distribution: *builder, config: None };
            if builders.len() > 1 {
                out.push_str(&match builder {
                    Some(_) => "On Debian's kernels:\n".to_owned(),
                    None => format!("On upstream kernels, where level {level} is as 2:\n"),
                });
            }
            self.on(&mut out, &kernel, level);
            out.push('\n');
            rules.push(self.rules(&kernel, level));
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

    /// What was said, without what is assumed.
    pub(super) fn said(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |said: bool, text: String| {
            if said {
                words.push(text);
            }
        };
        add(self.tool.is_some(), self.tool.map_or("", PerfTool::name).to_owned());
        add(self.cgroup, "a cgroup (-G), on every CPU".to_owned());
        add(self.whole_system() && !self.cgroup, "every task of a CPU (-a)".to_owned());
        if self.other_process {
            let text = match self.own {
                true => "a process of one's own (-p)",
                false => "another user's process (-p; assumed, unless one says `own process`)",
            };
            add(true, text.to_owned());
        }
        add(self.callchains, "call chains (-g)".to_owned());
        add(self.user_side, "the user's side only (:u)".to_owned());
        add(self.kernel_side, "the kernel's side only (:k)".to_owned());
        add(self.namespaces, "namespaces (--namespaces)".to_owned());
        match &self.event {
            Some(Event::Tracepoint { category, name }) => {
                add(true, format!("tracepoint {category}:{name}"));
            }
            Some(Event::Kprobe(_)) => add(true, "the PMU kprobe".to_owned()),
            Some(Event::Uprobe) => add(true, "the PMU uprobe".to_owned()),
            Some(Event::Breakpoint { address: Address::Kernel, .. }) => {
                add(true, "a breakpoint in the kernel".to_owned());
            }
            Some(Event::Breakpoint { .. }) => add(true, "a breakpoint".to_owned()),
            Some(_) => add(true, "a counter".to_owned()),
            None => {}
        }
        if let Some(root) = self.root {
            add(true, if root { "root" } else { "a user" }.to_owned());
        }
        add(self.container && !self.userns, "in a container".to_owned());
        add(self.userns, "in a container with a user namespace of its own".to_owned());
        let named = |set: &BTreeSet<u32>| {
            let names: Vec<_> = set.iter().map(|cap| upper(*cap)).collect();
            names.join(" and ")
        };
        add(!self.capabilities.is_empty(), format!("with {}", named(&self.capabilities)));
        add(!self.lacks.is_empty(), format!("without {}", named(&self.lacks)));
        add(self.no_capabilities, "without capabilities".to_owned());
        if let Some(level) = self.level {
            add(true, format!("kernel.perf_event_paranoid = {level}"));
        }
        if let Some(domain) = &self.domain {
            add(true, format!("domain {domain}"));
        }
        if let Some(mode) = self.mode {
            add(true, format!("SELinux {mode}"));
        }
        if let Some(errno) = self.errno {
            add(true, errno.to_string());
        }
        add(self.limited, "perf's message for EACCES or EPERM".to_owned());
        add(self.mmap, "mapping the buffer (-m)".to_owned());
        add(self.silent, "no AVC record".to_owned());
        words
    }

    fn understood(&self, level: i32) -> String {
        let mut words = self.said();
        if self.tool.is_none() {
            words.insert(0, "a perf event".to_owned());
        }
        if self.root.is_none() {
            words.push("a user (assumed)".to_owned());
        }
        if self.level.is_none() {
            words.push(format!(
                "kernel.perf_event_paranoid = {level} (assumed: upstream's default is {DEFAULT_LEVEL}, \
                 Debian's {DEBIANS_LEVEL})"
            ));
        }
        words.join(", ")
    }

    fn whole_system(&self) -> bool {
        // Both watch everything when they are given nothing to watch.
        let top = self.tool == Some(PerfTool::Top) && !self.other_process;
        let trace = self.tool == Some(PerfTool::Trace) && !self.other_process && !self.command;
        self.system_wide || self.cgroup || top || trace
    }

    fn holder(&self) -> Privileges {
        // capable() asks about the initial user namespace, where a container's root may be nobody.
        if self.userns || self.no_capabilities {
            return Privileges::of(&[]);
        }
        let all = self.root == Some(true) && self.capabilities.is_empty() && !self.container;
        Privileges { capabilities: self.capabilities.clone(), all, lacks: self.lacks.clone() }
    }

    /// The event that the tool opens first.
    fn call(&self) -> PerfEventOpen {
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

    /// The first check that refuses, under ordinary permissions.
    fn refusal(
        &self,
        holder: &Privileges,
        kernel: &Circumstances<'_>,
        level: i32,
    ) -> Option<WalkCheck> {
        let call = self.call();
        let open = EventWalk { call: &call, level, kernel: *kernel };
        let mut watched = false;
        open.checks().into_iter().find(|check| {
            let granted = match check.question {
                WalkQuestion::Hook(_) | WalkQuestion::Lockdown => true,
                WalkQuestion::Perfmon => holder.has(PERFMON) || holder.has(SYS_ADMIN),
                WalkQuestion::Capability(number) => holder.has(number),
                WalkQuestion::Ptrace => {
                    watched || !self.other_process || self.own || holder.has(SYS_PTRACE)
                }
            };
            // What ptrace would decide is not asked when this is granted.
            watched = check.goes_on && check.question == WalkQuestion::Perfmon && granted;
            !granted && !check.goes_on
        })
    }

    fn on(&self, out: &mut String, kernel: &Circumstances<'_>, level: i32) {
        let holder = self.holder();
        let Some(check) = self.refusal(&holder, kernel, level) else {
            self.allowed(out, &holder, kernel, level);
            return;
        };
        let says = match check.question {
            WalkQuestion::Perfmon => {
                "CAP_PERFMON, then for CAP_SYS_ADMIN, and the process holds neither".to_owned()
            }
            WalkQuestion::Capability(number) => {
                format!("{}, which the process does not hold", upper(number))
            }
            WalkQuestion::Ptrace => {
                "ptrace access to a process of another user, for want of CAP_PERFMON".to_owned()
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
                "It asks for {says}. What is not effective is not asked of SELinux, so there is no AVC record of it."
            ),
        );
        if let Some(errno) = self.errno.filter(|errno| *errno != check.refused) {
            paragraph(
                out,
                0,
                &format!("{errno} is not what this refusal gives: {}", other_errno(errno)),
            );
        }
        let counter = matches!(self.event, None | Some(Event::Hardware(_)));
        let falls_back = check.because.contains("exclude_kernel is not set")
            && !self.whole_system()
            && counter
            && !self.kernel_side
            && matches!(self.tool, Some(PerfTool::Stat | PerfTool::Record));
        if falls_back && self.errno != Some(Errno::EPERM) {
            let tool = self.tool.map_or("perf", PerfTool::name);
            let mut again = self.clone();
            again.user_side = true;
            let ends = match again.refusal(&holder, kernel, level) {
                None => "which this user may".to_owned(),
                Some(check) => format!(
                    "and {}() refuses that too, with {}: {}",
                    check.function, check.refused, check.because
                ),
            };
            paragraph(
                out,
                0,
                &format!(
                    "{tool} then tries again without the kernel (its events are shown with `:u`), {ends}."
                ),
            );
        }
        // Another refusal than this came first, which these ways do not lift.
        if self.errno.is_none_or(|errno| errno == check.refused) || self.container {
            let ways = self.ways(kernel, level);
            let ways: Vec<_> = ways.into_iter().map(|way| way.text).collect();
            paragraph(out, 0, &format!("least privilege: {}.", ways.join("; or ")));
        }
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
        let (least, nobody) = (Privileges::of(&[PERFMON]), Privileges::of(&[]));
        let more = holder.all || holder.has(SYS_ADMIN);
        if self.refusal(&nobody, kernel, level).is_none() {
            paragraph(out, 0, "No capability is needed at this level.");
        } else if more && self.refusal(&least, kernel, level).is_none() {
            paragraph(out, 0, "CAP_PERFMON alone would be enough (perf-security.rst).");
        }
    }

    /// The least that would allow it: a capability, or a level without any.
    fn ways(&self, kernel: &Circumstances<'_>, level: i32) -> Vec<Remedy> {
        let free = |holder: &Privileges, level: i32| self.refusal(holder, kernel, level).is_none();
        let lower = |holder: &Privileges| self.highest(holder, kernel, level);
        let nobody = Privileges::of(&[]);
        let on_host = if self.container { " on the host" } else { "" };
        let sysctl = |level: i32| format!("`sysctl kernel.perf_event_paranoid={level}`{on_host}");
        let given = |capability: u32| {
            let name = cap_name(capability);
            let setcap = format!("`setcap cap_{name}=ep $(command -v perf)`");
            match (self.container, self.root == Some(true)) {
                (true, true) => {
                    format!("{} (`--cap-add {}`)", upper(capability), name.to_uppercase())
                }
                (true, false) => format!(
                    "{} (`--cap-add {}`, and in it, for a user who is not root, {setcap})",
                    upper(capability),
                    name.to_uppercase()
                ),
                (false, true) => format!("{} in root's effective set", upper(capability)),
                (false, false) => format!("{} ({setcap})", upper(capability)),
            }
        };
        let capability = [PERFMON, SYS_ADMIN]
            .into_iter()
            .find(|capability| free(&Privileges::of(&[*capability]), level))
            .filter(|_| !self.userns);
        let mut ways = Vec::new();
        let mut add =
            |text: String, capability: Option<u32>| ways.push(Remedy { text, capability });
        if capability == Some(PERFMON) {
            add(given(PERFMON), Some(PERFMON));
        }
        if let Some(highest) =
            lower(&Privileges::of(&[PERFMON])).filter(|_| capability == Some(SYS_ADMIN))
            && Some(highest) != lower(&nobody)
        {
            add(format!("{} and {}", sysctl(highest), given(PERFMON)), Some(PERFMON));
        }
        if let Some(lower) = lower(&nobody) {
            add(format!("no capability at all, with {} for everybody", sysctl(lower)), None);
        }
        if capability == Some(SYS_ADMIN) {
            let text = match self.container {
                true => given(SYS_ADMIN),
                false => upper(SYS_ADMIN),
            };
            add(format!("{text}, which is far more than perf needs"), Some(SYS_ADMIN));
        }
        if ways.is_empty() {
            let text = "to run it outside of the container".to_owned();
            ways.push(Remedy { text, capability: None });
        }
        ways
    }

    /// The highest level below this one at which the holder may.
    fn highest(&self, holder: &Privileges, kernel: &Circumstances<'_>, level: i32) -> Option<i32> {
        (-1..level).rev().find(|lower| self.refusal(holder, kernel, *lower).is_none())
    }

    /// The capabilities that SELinux is asked for: of those that are held, or else advised.
    fn rules(&self, kernel: &Circumstances<'_>, level: i32) -> BTreeSet<(u32, bool)> {
        let call = self.call();
        let checks = EventWalk { call: &call, level, kernel: *kernel }.checks();
        let holder = self.holder();
        if self.refusal(&holder, kernel, level).is_some() {
            let ways = self.ways(kernel, level);
            return ways.into_iter().filter_map(|way| Some((way.capability?, true))).collect();
        }
        let mut used = BTreeSet::new();
        let mut watched = false;
        for check in checks {
            let capability = match check.question {
                WalkQuestion::Perfmon => {
                    [PERFMON, SYS_ADMIN].into_iter().find(|cap| holder.has(*cap))
                }
                WalkQuestion::Capability(number) => Some(number).filter(|cap| holder.has(*cap)),
                WalkQuestion::Ptrace if self.other_process && !self.own && !watched => {
                    Some(SYS_PTRACE)
                }
                _ => None,
            };
            watched |= check.question == WalkQuestion::Perfmon && capability.is_some();
            used.extend(capability.map(|capability| (capability, false)));
        }
        used
    }

    /// What SELinux is asked beside that.
    fn selinux(&self, out: &mut String, version: KernelVersion, rules: &[BTreeSet<(u32, bool)>]) {
        let call = self.call();
        // Hooks do not depend on the level.
        let kernel = Circumstances { version, distribution: None, config: None };
        let checks = EventWalk { call: &call, level: DEFAULT_LEVEL, kernel }.checks();
        let hooks = checks.iter().filter_map(|check| match check.question {
            WalkQuestion::Hook(name) => Some(name),
            _ => None,
        });
        // perf enables its events and reads them, or the buffer that it maps.
        let needed: BTreeSet<_> = hooks.chain(["read", "write"]).collect();
        let needed: Vec<_> = needed.into_iter().collect();
        let domain = self.domain.as_deref().unwrap_or("DOMAIN");
        let mode = match self.mode {
            Some(perfsec_wire::Mode::Permissive) => {
                "SELinux is permissive and refuses nothing; enforcing it needs"
            }
            _ => "Where SELinux is enforcing, the domain also needs",
        };
        paragraph(out, 0, mode);
        let _ = writeln!(out, "  allow {domain} self:perf_event {{ {} }};", needed.join(" "));
        let mut all: Vec<_> = rules.iter().flatten().copied().collect();
        all.sort_by_key(|(capability, advised)| (std::cmp::Reverse(*capability), *advised));
        all.dedup_by_key(|(capability, _)| *capability);
        for (capability, advised) in all {
            let class = if capability < 32 { "capability" } else { "capability2" };
            let has =
                |rules: &BTreeSet<(u32, bool)>| rules.iter().any(|(cap, _)| *cap == capability);
            // The first are Debian's where the two differ.
            let when = match (advised, rules) {
                (true, _) => format!(" # if it is given {}", upper(capability)),
                (false, [debian, upstream]) if has(debian) && !has(upstream) => {
                    " # on Debian's kernels".to_owned()
                }
                (false, [debian, upstream]) if has(upstream) && !has(debian) => {
                    " # on upstream kernels".to_owned()
                }
                (false, _) => String::new(),
            };
            let name = cap_name(capability);
            let _ = writeln!(out, "  allow {domain} self:{class} {name};{when}");
            if capability == SYS_PTRACE {
                let _ = writeln!(out, "  allow {domain} DOMAIN_OF_THE_PROCESS:file read;");
            }
        }
    }
}

/// A way to be allowed.
struct Remedy {
    text: String,
    capability: Option<u32>,
}

/// What else gives an errno.
fn other_errno(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "EPERM comes from a tracepoint's raw data, a breakpoint in the kernel, a buffer beyond the mlock \
             limit (CAP_IPC_LOCK), lockdown, or a seccomp filter, as containers have one."
        }
        Errno::EACCES => {
            "EACCES comes from the level of kernel.perf_event_paranoid, from ptrace access, and from SELinux \
             wherever it refuses."
        }
        _ => OTHER_ERRNO,
    }
}

fn upper(capability: u32) -> String {
    format!("CAP_{}", cap_name(capability).to_uppercase())
}

/// An errno that no refusal gives.
const OTHER_ERRNO: &str = "permissions are not the reason. No level, capability or SELinux rule gives it: \
    look at the event, its options and what the machine has.";

/// What else may refuse, where level and capabilities allow it.
const SELINUX_REFUSES: &str = "If it is refused all the same, SELinux may be what refuses it: with an AVC record, \
    unless a dontaudit rule hides it (`semodule -DB` takes those rules away, `semodule -B` brings them back) or \
    audit is off.";

/// The same of a capability that somebody should have.
const NOT_EFFECTIVE: &str = "A capability may also not be effective, and SELinux is never asked for it: look at \
    CapEff in /proc/PID/status and `getcap FILE`; nosuid mounts and no_new_privs drop file capabilities silently.";

/// What perf needs for a tracepoint beside the event.
const TRACEFS: &str = "perf must also read the tracepoint's files in tracefs (/sys/kernel/tracing), which are \
    root's by default: a capability of perf's does not open them, but a mount option does (`mount -o \
    remount,mode=755 /sys/kernel/tracing` and `chmod` of events/, or its option gid=).";

/// What mapping the buffer asks for.
const MMAP: &str = "Mapping the buffer: mmap() gives EPERM when the buffer is beyond the limit of locked memory, \
    unless the process holds CAP_IPC_LOCK or the level is -1. Ask for a smaller buffer (`-m`), or raise \
    kernel.perf_event_mlock_kb or RLIMIT_MEMLOCK; CAP_IPC_LOCK is more than that needs. CAP_PERFMON does not \
    count. It gives EACCES when SELinux refuses perf_event { read }.";

/// What is different in a container.
const CONTAINER: &str = "In a container: perf asks for capabilities in the initial user namespace, so root of a \
    container's own user namespace counts as a user, and SELinux is never asked; and most containers have a \
    seccomp filter that refuses perf_event_open() with EPERM before the kernel looks at it, without an AVC \
    record, unless the container is given CAP_PERFMON or another filter.";

/// `perf probe` opens no event.
const PROBE: &str = "perf probe opens no event: it writes kprobe_events or uprobe_events in tracefs, whose files \
    are root's alone (file mode, no capability of perf's), and lockdown's level confidentiality forbids kprobes. \
    Least privilege: define the probe as root once; a user with CAP_PERFMON may then record it (`perf record -e \
    probe:NAME`, which asks perf_event { tracepoint } and needs to read tracefs).";

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NEW: KernelVersion = KernelVersion::new(7, 3, 4);

    fn said(text: &str) -> String {
        let text = Symptom::read(text).unwrap().explain(NEW, None);
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case::debians_level(
        "perf stat as user with cap_perfmon, paranoid 3",
        "On Debian's kernels: perf_event_open() refuses with EACCES: Debian's level 3"
    )]
    #[case::debians_level_upstream(
        "perf stat as user with cap_perfmon, paranoid 3",
        "On upstream kernels, where level 3 is as 2: The level and the capabilities allow it"
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
        "perf_event_open() refuses with EACCES: the event sees the kernel's side"
    )]
    #[case::falls_back(
        "perf stat as user, paranoid 2",
        "perf stat then tries again without the kernel"
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
        "allow user_t self:perf_event { cpu kernel open read write }; allow user_t self:capability2 perfmon;"
    )]
    #[case::errno("perf stat as user, paranoid 2, EPERM", "EPERM is not what this refusal gives")]
    #[case::probe("perf probe as user", "perf probe opens no event")]
    #[case::advised(
        "perf stat -a as user, paranoid 2",
        "self:capability2 perfmon; # if it is given CAP_PERFMON"
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
    #[case::precise("perf record -e cycles:pp as user, paranoid 2", "sees the kernel's side")]
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
    #[case::call_chains(
        "perf record -g as user, paranoid 2",
        "and perf_event_open() refuses that too, with EACCES: call chains"
    )]
    #[case::cap_add("perf stat -a as root in docker, paranoid 2", "(`--cap-add PERFMON`)")]
    #[case::userns(
        "perf stat -a as root in rootless podman, paranoid 2",
        "least privilege: no capability at all, with `sysctl kernel.perf_event_paranoid=0` on the host"
    )]
    #[case::mmap("Permission error mapping pages.", "raise kernel.perf_event_mlock_kb")]
    #[case::einval("perf stat as user, EINVAL", "EINVAL: permissions are not the reason")]
    #[case::limited(
        "Access to performance monitoring and observability operations is limited. \
         perf_event_paranoid setting is 2:",
        "perf's message for EACCES or EPERM"
    )]
    #[case::tracefs("perf record -e sched:sched_switch with cap_perfmon", "tracefs")]
    #[case::real_level("perf stat, paranoid 4", "where level 4 is as 2")]
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
        "perf_event_open() refuses with EACCES: the event sees"
    )]
    #[case::container_filter(
        "perf stat as root in podman, EPERM",
        "a seccomp filter that refuses perf_event_open() with EPERM"
    )]
    fn the_answer_follows_from_the_walk(#[case] symptom: &str, #[case] words: &str) {
        let text = said(symptom);
        assert!(text.contains(words), "{text}");
    }
}
