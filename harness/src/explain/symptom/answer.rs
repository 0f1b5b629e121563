//! What is said about a symptom: derived from the walk through `perf_event_open()`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perfsec_wire::attr::{Event, Hardware, PerfEventAttr, SampleType};
use perfsec_wire::step::{PerfEventOpen, Task};

use super::words::{Symptom, Tool};
use crate::case::Circumstances;
use crate::errno::Errno;
use crate::explain::log::reasons;
use crate::explain::text::paragraph;
use crate::explain::walk::{Check, Open, Question};
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
struct Holder {
    capabilities: BTreeSet<u32>,
    all: bool,
}

impl Holder {
    fn has(&self, capability: u32) -> bool {
        self.all || self.capabilities.contains(&capability)
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
        if !self.unknown.is_empty() {
            let words: Vec<_> = self.unknown.iter().map(|word| format!("`{word}`")).collect();
            paragraph(&mut out, 0, &format!("not understood: {}", words.join(", ")));
        }
        out.push('\n');
        if self.tool == Some(Tool::Probe) {
            paragraph(&mut out, 0, PROBE);
            return out;
        }
        // Only there do kernels differ by who built them.
        let builders: Vec<Option<&str>> = match known {
            Some("debian") => vec![Some("debian")],
            None if level > 2 => vec![Some("debian"), None],
            _ => vec![None],
        };
        for builder in &builders {
            let kernel = Circumstances { version, distribution: *builder, config: None };
            if builders.len() > 1 {
                out.push_str(match builder {
                    Some(_) => "On Debian's kernels:\n",
                    None => "On upstream kernels, where level 3 is as 2:\n",
                });
            }
            self.on(&mut out, &kernel, level);
            out.push('\n');
        }
        if self.container {
            paragraph(&mut out, 0, CONTAINER);
            out.push('\n');
        }
        self.selinux(&mut out, version, level);
        out
    }

    fn understood(&self, level: i32) -> String {
        let mut words = vec![self.tool.map_or("a perf event", Tool::name).to_owned()];
        let mut add = |said: bool, text: String| {
            if said {
                words.push(text);
            }
        };
        add(self.whole_system(), "every task of a CPU (-a)".to_owned());
        add(self.other_process, "another user's process (-p)".to_owned());
        add(self.callchains, "call chains (-g)".to_owned());
        add(self.user_side, "the user's side only (:u)".to_owned());
        if let Some((category, name)) = &self.tracepoint {
            add(true, format!("tracepoint {category}:{name}"));
        }
        let who = match self.root {
            Some(true) => "root",
            Some(false) => "a user",
            None if self.capabilities.is_empty() => "a user (assumed)",
            None => "a user",
        };
        add(true, who.to_owned());
        add(self.container, "in a container".to_owned());
        let caps: Vec<_> = self.capabilities.iter().map(|cap| upper(*cap)).collect();
        add(!caps.is_empty(), format!("with {}", caps.join(" and ")));
        let assumed = match self.level {
            Some(_) => String::new(),
            None => format!(
                " (assumed: upstream's default is {DEFAULT_LEVEL}, Debian's {DEBIANS_LEVEL})"
            ),
        };
        let level = format!("kernel.perf_event_paranoid = {level}{assumed}");
        add(true, level);
        if let Some(domain) = &self.domain {
            add(true, format!("domain {domain}"));
        }
        if let Some(mode) = self.mode {
            add(true, format!("SELinux {mode}"));
        }
        if let Some(errno) = self.errno {
            add(true, errno.to_string());
        }
        words.join(", ")
    }

    fn whole_system(&self) -> bool {
        let top = self.tool == Some(Tool::Top) && !self.other_process;
        let trace = self.tool == Some(Tool::Trace) && self.system_wide;
        self.system_wide || top || trace
    }

    fn holder(&self) -> Holder {
        // capable() asks about the initial user namespace, where a container's root may be nobody.
        let all = self.root == Some(true) && self.capabilities.is_empty() && !self.container;
        Holder { capabilities: self.capabilities.clone(), all }
    }

    /// The event that the tool opens first.
    fn call(&self) -> PerfEventOpen {
        let mut attr = PerfEventAttr {
            event: Event::Hardware(Hardware::CpuCycles),
            exclude_kernel: self.user_side,
            ..PerfEventAttr::default()
        };
        let tracepoint = match (&self.tracepoint, self.tool) {
            (Some(named), _) => Some(named.clone()),
            (None, Some(Tool::Trace)) => Some(("raw_syscalls".to_owned(), "sys_enter".to_owned())),
            (None, _) => None,
        };
        let samples = !matches!(self.tool, Some(Tool::Stat) | None);
        if let Some((category, name)) = tracepoint {
            attr.event = Event::Tracepoint { category, name };
            if samples {
                attr.sample_type.push(SampleType::Raw);
            }
        }
        if samples && self.callchains {
            attr.sample_type.push(SampleType::Callchain);
        }
        let pid = match (self.whole_system(), self.other_process) {
            (true, _) => Task::Every,
            (false, true) => Task::Named("other".to_owned()),
            (false, false) => Task::Caller,
        };
        let cpu = if pid == Task::Every { 0 } else { -1 };
        PerfEventOpen { attr, pid, cpu, group: None, flags: Vec::new(), bind: String::new() }
    }

    /// The first check that refuses, under ordinary permissions.
    fn refusal(&self, holder: &Holder, kernel: &Circumstances<'_>, level: i32) -> Option<Check> {
        let call = self.call();
        let open = Open { call: &call, level, kernel: *kernel };
        let mut watched = false;
        open.checks().into_iter().find(|check| {
            let granted = match check.question {
                Question::Hook(_) | Question::Lockdown => true,
                Question::Perfmon => holder.has(PERFMON) || holder.has(SYS_ADMIN),
                Question::Capability(number) => holder.has(number),
                Question::Ptrace => watched || !self.other_process || holder.has(SYS_PTRACE),
            };
            // What ptrace would decide is not asked when this is granted.
            watched = check.goes_on && check.question == Question::Perfmon && granted;
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
            Question::Perfmon => {
                "CAP_PERFMON, then for CAP_SYS_ADMIN, and the process holds neither".to_owned()
            }
            Question::Capability(number) => {
                format!("{}, which the process does not hold", upper(number))
            }
            Question::Ptrace => {
                "ptrace access to a process of another user, for want of CAP_PERFMON".to_owned()
            }
            Question::Hook(_) | Question::Lockdown => "SELinux".to_owned(),
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
        let falls_back = check.because.contains("exclude_kernel is not set")
            && !self.whole_system()
            && self.tracepoint.is_none()
            && matches!(self.tool, Some(Tool::Stat | Tool::Record));
        if falls_back {
            let tool = self.tool.map_or("perf", Tool::name);
            paragraph(
                out,
                0,
                &format!(
                    "{tool} then tries again without the kernel (its events are shown with `:u`), which this user may."
                ),
            );
        }
        self.least(out, kernel, level);
    }

    fn allowed(&self, out: &mut String, holder: &Holder, kernel: &Circumstances<'_>, level: i32) {
        paragraph(
            out,
            0,
            "The level and the capabilities allow it. If it is refused all the same, either SELinux refused \
             it (with an AVC record, unless a dontaudit rule hides it), or a capability is not effective: \
             look at CapEff in /proc/PID/status; nosuid mounts and no_new_privs drop file capabilities silently.",
        );
        if let Some(errno) = self.errno {
            paragraph(out, 0, &format!("{errno}: {}", other_errno(errno)));
        }
        let least = Holder { capabilities: BTreeSet::from([PERFMON]), all: false };
        let nobody = Holder { capabilities: BTreeSet::new(), all: false };
        let more = holder.all || holder.has(SYS_ADMIN);
        if self.refusal(&nobody, kernel, level).is_none() {
            paragraph(out, 0, "No capability is needed at this level.");
        } else if more && self.refusal(&least, kernel, level).is_none() {
            paragraph(out, 0, "CAP_PERFMON alone would be enough (perf-security.rst).");
        }
    }

    /// The least that would allow it: a capability, or a level without any.
    fn least(&self, out: &mut String, kernel: &Circumstances<'_>, level: i32) {
        let with =
            |capability: u32| Holder { capabilities: BTreeSet::from([capability]), all: false };
        let nobody = Holder { capabilities: BTreeSet::new(), all: false };
        let mut ways = Vec::new();
        let capability = [PERFMON, SYS_ADMIN]
            .into_iter()
            .find(|capability| self.refusal(&with(*capability), kernel, level).is_none());
        let setcap = |capability: u32| {
            format!(
                "{} (`setcap cap_{}=ep $(command -v perf)`)",
                upper(capability),
                cap_name(capability)
            )
        };
        if capability == Some(PERFMON) {
            ways.push(setcap(PERFMON));
        }
        if let Some(lower) =
            (-1..level).rev().find(|lower| self.refusal(&with(PERFMON), kernel, *lower).is_none())
            && capability == Some(SYS_ADMIN)
        {
            ways.push(format!(
                "`sysctl kernel.perf_event_paranoid={lower}` and {}",
                setcap(PERFMON)
            ));
        }
        if let Some(lower) =
            (-1..level).rev().find(|lower| self.refusal(&nobody, kernel, *lower).is_none())
        {
            ways.push(format!("no capability at all, with `sysctl kernel.perf_event_paranoid={lower}` for everybody"));
        }
        if capability == Some(SYS_ADMIN) {
            ways.push(format!("{}, which is far more than perf needs", upper(SYS_ADMIN)));
        }
        paragraph(out, 0, &format!("least privilege: {}.", ways.join("; or ")));
    }

    /// What SELinux is asked beside that, and why its records may be missing.
    fn selinux(&self, out: &mut String, version: KernelVersion, level: i32) {
        let call = self.call();
        let kernel = Circumstances { version, distribution: None, config: None };
        let checks = Open { call: &call, level, kernel }.checks();
        let hooks = checks.iter().filter_map(|check| match check.question {
            Question::Hook(name) => Some(name),
            _ => None,
        });
        // perf enables its events and reads them, or the buffer that it maps.
        let needed: BTreeSet<_> = hooks.chain(["read", "write"]).collect();
        let needed: Vec<_> = needed.into_iter().collect();
        let domain = self.domain.as_deref().unwrap_or("DOMAIN");
        let holds = self.root == Some(true) || !self.capabilities.is_empty();
        let asks = checks.iter().any(|check| check.question == Question::Perfmon);
        let mode = match self.mode {
            Some(perfsec_wire::Mode::Permissive) => {
                "SELinux is permissive and refuses nothing; enforcing it needs"
            }
            _ => "Where SELinux is enforcing, the domain also needs",
        };
        paragraph(out, 0, mode);
        let _ = writeln!(out, "  allow {domain} self:perf_event {{ {} }};", needed.join(" "));
        if asks && holds {
            let _ = writeln!(out, "  allow {domain} self:capability2 perfmon;");
        }
        out.push_str("If it refuses and no AVC record says so, it is one of three:\n");
        reasons(out, 2);
    }
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
        _ => "it says nothing about privileges.",
    }
}

fn upper(capability: u32) -> String {
    format!("CAP_{}", cap_name(capability).to_uppercase())
}

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
    #[case::unknown("perf stat frobnicates", "not understood: `frobnicates`")]
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
