//! Explains the expected transcript of a cell, line by line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perfsec_wire::caps::{BPF, FALLBACKS, PERFMON, SYS_ADMIN};
use perfsec_wire::step::{Bpf, ProgType};
use perfsec_wire::{Lockdown, Mode, Step};

use super::assign::{ExplainedEffect, assign};
use super::knowledge::Knowledge;
use super::log::{lines, locate};
use super::missing::NEVER_EFFECTIVE;
use super::text::paragraph;
use super::walk::{EventWalk, WalkCheck, WalkQuestion};
use crate::allow::{CheckHistory, Rules};
use crate::audit::Denial;
use crate::case::{Case, Circumstances, Coordinates};
use crate::errno::Errno;
use crate::grant::cap_name;
use crate::transcript::{Avc, CallResult, CapLine, CapVerdict, Effect, Subject, TranscriptCall};

/// The indent of explanations, in columns. The lines that they explain have less.
const DEEP: usize = 6;

/// Explains the expected transcript of a cell on a kernel.
#[must_use]
pub fn cell(
    case: &Case,
    at: &Coordinates,
    kernel: &Circumstances<'_>,
    knowledge: &Knowledge,
) -> String {
    let mut out = String::new();
    paragraph(&mut out, 0, &format!("{}: {}", case.cell_name(at), case.title));
    for source in &case.source {
        paragraph(&mut out, 2, &format!("from {source}"));
    }
    if let Some(reason) = case.unmet_requirement(kernel) {
        paragraph(&mut out, 2, &format!("skipped on this kernel, which lacks: {reason}"));
    }
    out.push('\n');
    let expected = case.expected(at, &(*kernel).into()).least();
    let mut steps = case.steps.iter();
    let mut explainer = CellExplainer {
        case,
        at,
        kernel,
        knowledge,
        denials: Vec::new(),
        asked: CheckHistory::default(),
        lacks: BTreeSet::new(),
        one_of: BTreeSet::new(),
        level: false,
        domain: at.domain.clone(),
        sys_admin: false,
    };
    for call in &expected.transcript().calls {
        let step = steps.find(|step| call.head.syscall().is_some_and(|it| it.is_of(step)));
        explainer.call(&mut out, call, step);
    }
    explainer.least(&mut out);
    out
}

/// The state of an explanation.
struct CellExplainer<'a> {
    case: &'a Case,
    at: &'a Coordinates,
    kernel: &'a Circumstances<'a>,
    knowledge: &'a Knowledge,
    denials: Vec<Denial>,
    /// The checks of the current call so far.
    asked: CheckHistory,
    /// Missing capabilities that caused a refusal.
    lacks: BTreeSet<u32>,
    /// Sets of missing capabilities: at least one of each set caused a refusal.
    one_of: BTreeSet<Vec<u32>>,
    /// Debian's level 3 refused.
    level: bool,
    /// The current domain, which an exec can change.
    domain: String,
    /// CAP_SYS_ADMIN was used where CAP_PERFMON would suffice.
    sys_admin: bool,
}

impl CellExplainer<'_> {
    fn call(&mut self, out: &mut String, call: &TranscriptCall, step: Option<&Step>) {
        let checks = match step {
            Some(Step::PerfEventOpen(call)) => {
                EventWalk { call, level: self.at.paranoid, kernel: *self.kernel }.checks()
            }
            _ => Vec::new(),
        };
        let answered = assign(&call.effects, &checks);
        let _ = writeln!(out, "{}", call.head);
        if let Some(why) = self.outcome(step, call, &answered) {
            paragraph(out, DEEP, &why);
        }
        let syscall = call.head.syscall().map_or("", |syscall| &syscall.name);
        let mut last = None;
        self.asked = CheckHistory::default();
        for one in &answered {
            let _ = writeln!(out, "  {}", one.effect);
            let why = self.effect(&one.effect, one.check.as_ref(), syscall, last);
            paragraph(out, DEEP, &why);
            last = Some(&one.effect);
        }
    }

    /// The reason for the result of a call that fails.
    fn outcome(
        &mut self,
        step: Option<&Step>,
        call: &TranscriptCall,
        answered: &[ExplainedEffect],
    ) -> Option<String> {
        let Some(CallResult::Error(errno)) = call.head.result() else { return None };
        let errno = *errno;
        if !errno.is_denial() {
            return Some(format!(
                "{errno} is not a refusal: every check passed, and the kernel rejects the call for \
                 another reason"
            ));
        }
        let refusing = answered.iter().rev().find(|one| match &one.effect {
            Effect::Avc(avc) => !self.let_through(avc),
            Effect::Cap(line) => line.verdict != CapVerdict::Granted,
            _ => false,
        });
        let Some(refusing) = refusing else {
            if let (Errno::EPERM, Some(why)) = (errno, self.locked_down()) {
                return Some(why);
            }
            return Some(match self.at.mode {
                Mode::Enforcing => {
                    "refused without a record: SELinux refused and a dontaudit rule hides the \
                     record, or an ordinary permission (file mode, uid) is missing"
                        .to_owned()
                }
                Mode::Permissive | Mode::Disabled => {
                    "refused by a check that logs nothing; not by SELinux, which refuses nothing \
                     in this mode"
                        .to_owned()
                }
            });
        };
        if let Effect::Cap(line) = &refusing.effect
            && line.verdict == CapVerdict::NotHeld
        {
            self.note_missing(step, answered, refusing);
        }
        // All other checks passed, so SELinux did not refuse.
        if let Some(Step::PerfEventOpen(_)) = step
            && errno == Errno::EPERM
            && self.goes_on(refusing)
            && let Some(why) = self.locked_down()
        {
            return Some(why);
        }
        Some(match &refusing.check {
            Some(check) => format!("refused in {}(): {}", check.function, check.because),
            None => format!("refused by the check `{}`", refusing.effect),
        })
    }

    /// The explanation of a refusal by lockdown, in a case about it. A transcript shows no checks
    /// of lockdown.
    fn locked_down(&self) -> Option<String> {
        (self.case.lockdown != Lockdown::None).then(|| {
            format!(
                "every check passed: lockdown {} refuses this to every process, and no privilege \
                 helps",
                self.case.lockdown
            )
        })
    }

    /// True if the call continues after this refusal.
    fn goes_on(&self, refusing: &ExplainedEffect) -> bool {
        refusing.check.as_ref().is_some_and(|check| check.goes_on)
    }

    /// Records the capability that a failed call lacked.
    fn note_missing(
        &mut self,
        step: Option<&Step>,
        answered: &[ExplainedEffect],
        refusing: &ExplainedEffect,
    ) {
        let checks: Vec<(CapLine, Option<&WalkCheck>)> = answered
            .iter()
            .filter_map(|one| match &one.effect {
                Effect::Cap(line) if !line.unaudited => Some((*line, one.check.as_ref())),
                _ => None,
            })
            .collect();
        let missing = |line: &CapLine| line.verdict == CapVerdict::NotHeld;
        // SELinux refused the first of a pair: a rule helps, and no capability is missing.
        let refused = |at: usize| {
            let pair = (checks[at - 1].0.cap, checks[at].0.cap);
            FALLBACKS.contains(&pair) && checks[at - 1].0.verdict == CapVerdict::Refused
        };
        let mut wanted: Vec<u32> = Vec::new();
        let mut before = None;
        for (at, (line, check)) in checks.iter().enumerate() {
            let second = before.is_some_and(|first| FALLBACKS.contains(&(first, line.cap)));
            before = missing(line).then_some(line.cap);
            if !missing(line) || second || at > 0 && refused(at) {
                // The second of the pair was granted, so the first was not missing.
                if second && !missing(line) {
                    wanted.pop();
                }
                continue;
            }
            if check.is_none_or(|check| !check.goes_on) {
                wanted.push(line.cap);
            }
        }
        if let Some(Step::PerfEventOpen(_)) = step {
            // The call ends at the first refusal after which it does not continue.
            let is_ptrace = |check: &WalkCheck| check.question == WalkQuestion::Ptrace;
            if refusing.check.as_ref().is_some_and(is_ptrace) {
                wanted = vec![PERFMON];
            }
            let level = |check: &WalkCheck| {
                check.question == WalkQuestion::Capability(SYS_ADMIN)
                    && check.function == "perf_event_open"
            };
            self.level |= refusing.check.as_ref().is_some_and(level);
        }
        wanted.dedup();
        if let (Some(Step::Bpf(call)), [BPF]) = (step, wanted.as_slice())
            && let Bpf::ProgLoad(load) = call
            && is_tracing(load.prog_type)
        {
            wanted.push(PERFMON);
            self.lacks.extend(wanted);
            return;
        }
        match wanted.as_slice() {
            [] => {}
            [one] => drop(self.lacks.insert(*one)),
            several => drop(self.one_of.insert(several.to_vec())),
        }
    }

    fn let_through(&self, avc: &Avc) -> bool {
        let default = if self.at.mode == Mode::Permissive { "1" } else { "0" };
        avc.verb == "granted" || avc.field("permissive").unwrap_or(default) == "1"
    }

    fn effect(
        &mut self,
        effect: &Effect,
        check: Option<&WalkCheck>,
        syscall: &str,
        last: Option<&Effect>,
    ) -> String {
        match effect {
            Effect::Avc(avc) => {
                if let Some(denial) = self.denial(avc) {
                    self.denials.push(self.asked.add_record(denial));
                }
                self.record(avc, check, syscall, last)
            }
            Effect::Cap(line) => {
                self.asked.add_check(*line);
                self.sys_admin |= line.cap == SYS_ADMIN
                    && line.verdict == CapVerdict::Granted
                    && check.is_some_and(|check| check.question == WalkQuestion::Perfmon);
                capability(line, check)
            }
            Effect::Holds(_) => "the capabilities of the process after the exec".to_owned(),
            Effect::Domain(domain) => {
                self.domain.clone_from(domain);
                "the exec changed the domain".to_owned()
            }
            Effect::Uid(_) => "the exec changed the user id".to_owned(),
            Effect::Kernel(_) => "a line in the kernel log".to_owned(),
            Effect::SelinuxErr(_) => {
                "SELinux refuses this regardless of allow rules: the transition is not bounded"
                    .to_owned()
            }
            Effect::SyscallRecord => {
                "the SYSCALL record of the call, with the serial of its other records".to_owned()
            }
            Effect::Record { .. } | Effect::Verbatim(_) => "another audit record".to_owned(),
        }
    }

    fn record(
        &self,
        avc: &Avc,
        check: Option<&WalkCheck>,
        syscall: &str,
        last: Option<&Effect>,
    ) -> String {
        let class = avc.field("tclass").unwrap_or_default();
        let ends = if avc.verb == "granted" {
            "allowed, and logged by an auditallow rule"
        } else if self.let_through(avc) {
            "logged and let through"
        } else {
            "refused"
        };
        let names = avc.permissions.join(" ");
        if class.starts_with("cap") && matches!(last, Some(Effect::Cap(_))) {
            return format!("SELinux's record of this check: {ends}");
        }
        let known = avc.permissions.iter().find_map(|name| self.knowledge.permission(class, name));
        match (check, known) {
            (Some(check), Some(known)) => {
                format!("{} in {}(): {}; {ends}", known.hook, check.function, check.because)
            }
            (None, Some(known)) => {
                let points = self.knowledge.checkpoints(known, &[syscall]);
                let location = locate(known, &points, self.knowledge, &[syscall]);
                format!("checked by {location}, to {}; {ends}", known.what)
            }
            (_, None) => format!("{class} {{ {names} }} is not a check of perf; {ends}"),
        }
    }

    /// The record in the form that it has in a log.
    fn denial(&self, avc: &Avc) -> Option<Denial> {
        let whole = |kind: &str| format!("u:r:{kind}:s0");
        let mut avc = avc.clone();
        for (key, value) in &mut avc.fields {
            if matches!(key.as_str(), "scontext" | "tcontext") && !value.contains(':') {
                *value = whole(value);
            }
        }
        let context = whole(&self.domain);
        let subject =
            Subject { pid: 1, comm: &self.case.comm, context: &context, mode: self.at.mode };
        Denial::parse(&avc.expand(&subject))?.ok()
    }

    fn least(&self, out: &mut String) {
        let rules = Rules::from_denials(&self.denials);
        let lacks = !self.lacks.is_empty() || !self.one_of.is_empty();
        if rules.is_empty() && !lacks {
            out.push_str("\nnothing is refused and nothing is logged as denied\n");
            if self.sys_admin {
                let text = "CAP_SYS_ADMIN was used where CAP_PERFMON suffices: `setcap \
                            cap_perfmon=ep FILE` (perf-security.rst)";
                paragraph(out, 0, text);
            }
            return;
        }
        out.push_str("\nleast privilege:\n");
        for cap in &self.lacks {
            let name = cap_name(*cap);
            let text = format!(
                "the capability {name} (`setcap cap_{name}=ep FILE`); SELinux then checks it too"
            );
            paragraph(out, 2, &text);
        }
        for several in &self.one_of {
            let names: Vec<_> = several.iter().map(|cap| cap_name(*cap)).collect();
            let text = format!(
                "one or more of the capabilities {} (`setcap`): the kernel asked for each, the \
                 process holds none, and the transcript does not show which one was decisive",
                names.join(", ")
            );
            paragraph(out, 2, &text);
        }
        if self.level {
            let text = "or, better, `sysctl kernel.perf_event_paranoid=2` and CAP_PERFMON, which \
                        does not count at Debian's level 3";
            paragraph(out, 2, text);
        }
        lines(out, 2, &rules);
        if lacks {
            paragraph(out, 0, &format!("there is no AVC record of this: {NEVER_EFFECTIVE}"));
        }
    }
}

/// True if programs of this type trace the kernel, so that loading them needs more than CAP_BPF
/// (`is_perfmon_prog_type()`, kernel/bpf/syscall.c).
const fn is_tracing(kind: ProgType) -> bool {
    matches!(
        kind,
        ProgType::Kprobe
            | ProgType::Tracepoint
            | ProgType::PerfEvent
            | ProgType::RawTracepoint
            | ProgType::RawTracepointWritable
    )
}

/// Explains a capability check.
fn capability(line: &CapLine, check: Option<&WalkCheck>) -> String {
    let why = match check {
        Some(check) if line.cap == SYS_ADMIN && check.question == WalkQuestion::Perfmon => {
            "perfmon_capable() accepts CAP_SYS_ADMIN instead".to_owned()
        }
        Some(check) => format!("{}(): {}", check.function, check.because),
        None => format!("the kernel asks for CAP_{}", cap_name(line.cap).to_uppercase()),
    };
    let unaudited = if line.unaudited { ", without auditing" } else { "" };
    let verdict = match line.verdict {
        CapVerdict::Granted => "the process holds it",
        CapVerdict::NotHeld => "not in the effective set, so SELinux is not asked and logs nothing",
        CapVerdict::Refused => "the process holds it, but SELinux refuses it",
    };
    format!("{why}{unaudited}; {verdict}")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rstest::rstest;

    use super::*;
    use crate::case::Library;
    use crate::kernel::KernelVersion;

    static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::built_in().unwrap());

    fn kernel(version: (u32, u32, u32)) -> Circumstances<'static> {
        let version = KernelVersion::new(version.0, version.1, version.2);
        Circumstances::hypothetical(version, Some("debian"))
    }

    fn explained(name: &str) -> String {
        let knowledge = Knowledge::built_in().unwrap();
        let mut found = LIBRARY.cases.iter().flat_map(|case| {
            let cells = case.axes.coordinates();
            cells.map(move |at| (case, at))
        });
        let (case, at) = found.find(|(case, at)| case.cell_name(at) == name).unwrap();
        let text = cell(case, &at, &kernel((6, 1, 192)), &knowledge);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case(
        "open/cpu-kernel/none_t/paranoid=2/perfmon/enforcing",
        "avc denied { open } tclass=perf_event security_perf_event_open(PERF_SECURITY_OPEN) in \
         perf_event_open(): every event needs { open }; refused"
    )]
    #[case(
        "open/cpu-kernel/none_t/paranoid=2/perfmon/permissive",
        "cap perfmon = granted find_get_context(): the event monitors every task on a CPU, or a \
         cgroup; the process holds it"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/none/enforcing",
        "refused in perf_event_open(): the event monitors the kernel"
    )]
    #[case("open/cpu-kernel/all_t/paranoid=2/none/enforcing", "the capability perfmon (`setcap")]
    #[case(
        "open/cpu-kernel/nocap_t/paranoid=2/perfmon+sys_admin/enforcing",
        "refused in perf_event_open(): the event monitors the kernel (exclude_kernel is not set) \
         cap perfmon = refused by selinux"
    )]
    #[case(
        "open/cpu-kernel/nocap_t/paranoid=2/perfmon/enforcing",
        "least privilege: allow nocap_t self:capability2 perfmon;"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/perfmon/enforcing",
        "nothing is refused and nothing is logged as denied"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/none/enforcing",
        "there is no AVC record of this: the capability was never in the process's effective set"
    )]
    #[case(
        "policy/dontaudit/dontaudit_t/paranoid=2/perfmon/enforcing",
        "a dontaudit rule hides the record"
    )]
    #[case(
        "bpf/map-create/all_t/paranoid=2/none/enforcing",
        "least privilege: the capability bpf (`setcap"
    )]
    #[case(
        "lockdown/confidentiality-kprobe/all_t/paranoid=2/perfmon/enforcing",
        "lockdown confidentiality refuses this to every process, and no privilege helps"
    )]
    #[case(
        "bpf/load-kprobe/all_t/paranoid=2/none/enforcing",
        "least privilege: the capability perfmon (`setcap cap_perfmon=ep FILE`); SELinux then \
         checks it too the capability bpf"
    )]
    #[case(
        "proc/mem/all_t/paranoid=2/perfmon/enforcing",
        "least privilege: the capability dac_read_search"
    )]
    #[case("event/read/none_t/paranoid=2/perfmon/enforcing", "security_perf_event_read()")]
    fn a_line_has_its_explanation(#[case] name: &str, #[case] words: &str) {
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = explained(name);
        assert!(text.contains(&words), "{text}");
    }

    #[test]
    fn every_line_of_every_cell_is_explained() {
        let (kernel, knowledge) = (kernel((6, 12, 117)), Knowledge::built_in().unwrap());
        for case in &LIBRARY.cases {
            for at in case.axes.coordinates() {
                let text = cell(case, &at, &kernel, &knowledge);
                let mut lines = text.lines();
                for (expected, _) in case.expected(&at, &kernel.into()).least().lines() {
                    assert!(lines.any(|line| line == expected), "{text}\n{expected:?}");
                    let effect = expected.starts_with(' ');
                    let deep = |line: &str| line.starts_with("      ");
                    assert!(!effect || lines.next().is_some_and(deep), "{text}\n{expected:?}");
                }
            }
        }
    }
}
