//! Explains what a cell must see, line by line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use perfsec_wire::step::{Bpf, ProgType};
use perfsec_wire::{Lockdown, Mode, Step};

use super::knowledge::Knowledge;
use super::log::{asked_in, lines};
use super::missing::{NEVER_EFFECTIVE, REASONS};
use super::text::paragraph;
use super::walk::{EventWalk, SYS_ADMIN, WalkCheck, WalkQuestion};
use crate::allow::{CheckHistory, Rules};
use crate::audit::Denial;
use crate::case::{Case, Circumstances, Coordinates};
use crate::errno::Errno;
use crate::grant::cap_name;
use crate::transcript::{Avc, CapLine, CapVerdict, Effect, Subject, parse_effect};

/// How deep explanations stand below the lines that they are about.
const DEEP: usize = 6;

/// CAP_PERFMON
const PERFMON: u32 = 38;
/// CAP_BPF
const BPF: u32 = 39;
/// Capabilities of which the kernel asks for the first, and takes the second instead.
const PAIRS: [(u32, u32); 3] =
    [(PERFMON, SYS_ADMIN), (BPF, SYS_ADMIN), (DAC_READ_SEARCH, DAC_OVERRIDE)];
/// CAP_DAC_READ_SEARCH
const DAC_READ_SEARCH: u32 = 2;
/// CAP_DAC_OVERRIDE
const DAC_OVERRIDE: u32 = 1;
/// CAP_SYS_PTRACE
const SYS_PTRACE: u32 = 19;

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
    if let Some(reason) = case.unmet(kernel) {
        paragraph(&mut out, 2, &format!("skipped on this kernel, which lacks: {reason}"));
    }
    out.push('\n');
    let lines: Vec<_> = case.expected(at, kernel).into_iter().map(|line| line.text).collect();
    let mut rest = lines.as_slice();
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
    while let [call, after @ ..] = rest {
        let indented = |line: &String| line.starts_with(char::is_whitespace);
        let end = after.iter().position(|line| !indented(line)).unwrap_or(after.len());
        let step = steps.find(|step| call.starts_with(&step.to_string()));
        explainer.call(&mut out, call, step, &after[..end]);
        rest = &after[end..];
    }
    explainer.least(&mut out);
    out
}

/// A cell while it is explained.
struct CellExplainer<'a> {
    case: &'a Case,
    at: &'a Coordinates,
    kernel: &'a Circumstances<'a>,
    knowledge: &'a Knowledge,
    denials: Vec<Denial>,
    /// What the call has asked so far.
    asked: CheckHistory,
    /// Capabilities whose lack refused something.
    lacks: BTreeSet<u32>,
    /// Capabilities of which one or several were lacking, and nothing tells which.
    one_of: BTreeSet<Vec<u32>>,
    /// Debian's level 3 refused.
    level: bool,
    /// The domain, which an exec can change.
    domain: String,
    /// CAP_SYS_ADMIN was used where CAP_PERFMON would do.
    sys_admin: bool,
}

/// An effect, with the question that it answers as far as that is known.
struct ExplainedEffect {
    line: String,
    effect: Option<Effect>,
    check: Option<WalkCheck>,
}

impl CellExplainer<'_> {
    fn call(&mut self, out: &mut String, line: &str, step: Option<&Step>, effects: &[String]) {
        let checks = match step {
            Some(Step::PerfEventOpen(call)) => {
                EventWalk { call, level: self.at.paranoid, kernel: *self.kernel }.checks()
            }
            _ => Vec::new(),
        };
        let answered = assign(effects, &checks);
        let _ = writeln!(out, "{line}");
        if let Some(why) = self.outcome(step, line, &answered) {
            paragraph(out, DEEP, &why);
        }
        let syscall = line.split('(').next().unwrap_or_default();
        let mut last = None;
        self.asked = CheckHistory::default();
        for one in &answered {
            let _ = writeln!(out, "{}", one.line);
            if let Some(effect) = &one.effect {
                let why = self.effect(effect, one.check.as_ref(), syscall, last);
                paragraph(out, DEEP, &why);
                last = Some(effect);
            }
        }
    }

    /// Why the call ends as it does, where that needs saying.
    fn outcome(
        &mut self,
        step: Option<&Step>,
        line: &str,
        answered: &[ExplainedEffect],
    ) -> Option<String> {
        let (_, result) = line.rsplit_once(" = ")?;
        let errno = result.parse::<Errno>().ok()?;
        if !errno.is_denial() {
            return Some(format!(
                "{errno} is no refusal: what was asked was allowed, and the kernel has something else \
                 against the call"
            ));
        }
        let refusing = answered.iter().rev().find(|one| match &one.effect {
            Some(Effect::Avc(avc)) => !self.let_through(avc),
            Some(Effect::Cap(line)) => line.verdict != CapVerdict::Granted,
            _ => false,
        });
        let Some(refusing) = refusing else {
            if let (Errno::EPERM, Some(why)) = (errno, self.locked_down()) {
                return Some(why);
            }
            return Some(match self.at.mode {
                Mode::Enforcing => "refused, and nothing says so: SELinux refused and a dontaudit rule hides \
                                    the record, or an ordinary permission (file mode, uid) is missing"
                    .to_owned(),
                Mode::Permissive | Mode::Disabled => {
                    "refused by something that is logged nowhere: not by SELinux, which refuses nothing in this mode"
                        .to_owned()
                }
            });
        };
        if matches!(&refusing.effect, Some(Effect::Cap(line)) if line.verdict == CapVerdict::NotHeld)
        {
            self.lack(step, answered, refusing);
        }
        // Everything that is asked before it was granted, so nothing of SELinux's refuses.
        if let Some(Step::PerfEventOpen(_)) = step
            && errno == Errno::EPERM
            && self.goes_on(refusing)
            && let Some(why) = self.locked_down()
        {
            return Some(why);
        }
        Some(match &refusing.check {
            Some(check) => format!("refused in {}(): {}", check.function, check.because),
            None => format!("refused by the check `{}`", refusing.line.trim()),
        })
    }

    /// What lockdown says, in a case that it is for: no check of it is seen.
    fn locked_down(&self) -> Option<String> {
        (self.case.lockdown != Lockdown::None).then(|| {
            format!(
                "nothing that was asked was refused: lockdown {} refuses, whatever the process may do, and no \
                 privilege helps",
                self.case.lockdown
            )
        })
    }

    /// Whether the call goes on after this refusal.
    fn goes_on(&self, refusing: &ExplainedEffect) -> bool {
        refusing.check.as_ref().is_some_and(|check| check.goes_on)
    }

    /// Notes which capability would have been enough for a call that failed for want of one.
    fn lack(
        &mut self,
        step: Option<&Step>,
        answered: &[ExplainedEffect],
        refusing: &ExplainedEffect,
    ) {
        let checks: Vec<(CapLine, Option<&WalkCheck>)> = answered
            .iter()
            .filter_map(|one| match &one.effect {
                Some(Effect::Cap(line)) if !line.unaudited => Some((*line, one.check.as_ref())),
                _ => None,
            })
            .collect();
        let missing = |line: &CapLine| line.verdict == CapVerdict::NotHeld;
        // SELinux refused the first of a pair: a rule helps, and no capability is missing.
        let refused = |at: usize| {
            let pair = (checks[at - 1].0.cap, checks[at].0.cap);
            PAIRS.contains(&pair) && checks[at - 1].0.verdict == CapVerdict::Refused
        };
        let mut wanted: Vec<u32> = Vec::new();
        let mut before = None;
        for (at, (line, check)) in checks.iter().enumerate() {
            let second = before.is_some_and(|first| PAIRS.contains(&(first, line.cap)));
            before = missing(line).then_some(line.cap);
            if !missing(line) || second || at > 0 && refused(at) {
                // What another stands for was not what was lacking.
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
            // It ends at the first refusal that it does not go on after.
            let of_ptrace = |check: &WalkCheck| check.question == WalkQuestion::Ptrace;
            if refusing.check.as_ref().is_some_and(of_ptrace) {
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
                    self.denials.push(self.asked.record(denial));
                }
                self.record(avc, check, syscall, last)
            }
            Effect::Cap(line) => {
                self.asked.capability(*line);
                self.sys_admin |= line.cap == SYS_ADMIN
                    && line.verdict == CapVerdict::Granted
                    && check.is_some_and(|check| check.question == WalkQuestion::Perfmon);
                capability(line, check)
            }
            Effect::Holds(_) => "what the process holds after the exec".to_owned(),
            Effect::Domain(domain) => {
                self.domain.clone_from(domain);
                "the exec entered another domain".to_owned()
            }
            Effect::Uid(_) => "the exec changed the user id".to_owned(),
            Effect::Kernel(_) => "a line of the kernel's log".to_owned(),
            Effect::SelinuxErr(_) => {
                "SELinux refuses this beside its rules: a transition that is not bounded".to_owned()
            }
            Effect::SyscallRecord => {
                "the record about the call, which carries its serial".to_owned()
            }
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
                let places = self.knowledge.places(known, &[syscall]);
                let asked = asked_in(known, &places, self.knowledge, &[syscall]);
                format!("asked by {asked}, to {}; {ends}", known.what)
            }
            (_, None) => format!("{class} {{ {names} }} is not perf's own question; {ends}"),
        }
    }

    /// The record as it stands in a log.
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
                let text = "CAP_SYS_ADMIN was used where CAP_PERFMON is enough: `setcap cap_perfmon=ep FILE` \
                            (perf-security.rst)";
                paragraph(out, 0, text);
            }
            return;
        }
        out.push_str("\nleast privilege:\n");
        for cap in &self.lacks {
            let name = cap_name(*cap);
            let text = format!(
                "the capability {name} (`setcap cap_{name}=ep FILE`), which SELinux is then asked about"
            );
            paragraph(out, 2, &text);
        }
        for several in &self.one_of {
            let names: Vec<_> = several.iter().map(|cap| cap_name(*cap)).collect();
            let text = format!(
                "of the capabilities {} one or several (`setcap`): each was asked for and not held, and what is \
                 seen does not tell which was decisive",
                names.join(", ")
            );
            paragraph(out, 2, &text);
        }
        if self.level {
            let text = "or, better, `sysctl kernel.perf_event_paranoid=2` and CAP_PERFMON, which does not count at \
                        Debian's level 3";
            paragraph(out, 2, text);
        }
        lines(out, 2, &rules);
        if lacks {
            let why = REASONS[NEVER_EFFECTIVE];
            paragraph(out, 0, &format!("there is no AVC record of it: {why}"));
        }
    }
}

/// Whether programs of a type trace the kernel, so that CAP_BPF is not enough to load them
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

/// What a capability check came to.
fn capability(line: &CapLine, check: Option<&WalkCheck>) -> String {
    let why = match check {
        Some(check) if line.cap == SYS_ADMIN && check.question == WalkQuestion::Perfmon => {
            "perfmon_capable() takes CAP_SYS_ADMIN instead".to_owned()
        }
        Some(check) => format!("{}(): {}", check.function, check.because),
        None => format!("CAP_{} is asked for", cap_name(line.cap).to_uppercase()),
    };
    let unaudited = if line.unaudited { ", which is never logged" } else { "" };
    let verdict = match line.verdict {
        CapVerdict::Granted => "the process has it",
        CapVerdict::NotHeld => "not in the effective set, so SELinux is not asked and logs nothing",
        CapVerdict::Refused => "the process has it, and SELinux refuses",
    };
    format!("{why}{unaudited}; {verdict}")
}

/// Gives each effect the question that it answers, both in their order.
fn assign(effects: &[String], checks: &[WalkCheck]) -> Vec<ExplainedEffect> {
    let mut next = 0;
    let mut last: Option<usize> = None;
    let mut before: Option<Effect> = None;
    let mut answered = Vec::new();
    for line in effects {
        let effect = parse_effect(line).ok();
        let find = |wanted: &dyn Fn(&WalkQuestion) -> bool| {
            (next..checks.len()).find(|place| wanted(&checks[*place].question))
        };
        let place = match &effect {
            Some(Effect::Cap(cap)) if cap.unaudited => None,
            Some(Effect::Cap(cap)) => {
                let second = matches!(&before, Some(Effect::Cap(first))
                    if first.cap == PERFMON && first.verdict != CapVerdict::Granted);
                match cap.cap {
                    PERFMON => find(&|question| *question == WalkQuestion::Perfmon),
                    SYS_ADMIN if second => last,
                    SYS_PTRACE => find(&|question| *question == WalkQuestion::Ptrace),
                    number => find(&|question| *question == WalkQuestion::Capability(number)),
                }
            }
            Some(Effect::Avc(avc)) => match avc.field("tclass") {
                Some("perf_event") => find(
                    &|question| matches!(question, WalkQuestion::Hook(name) if avc.permissions.iter().any(|one| one == name)),
                ),
                Some("lockdown") => find(&|question| *question == WalkQuestion::Lockdown),
                Some("file" | "process") => find(&|question| *question == WalkQuestion::Ptrace),
                _ => None,
            },
            _ => None,
        };
        if let Some(place) = place {
            next = next.max(place + 1);
            last = Some(place);
        }
        // A record of a capability is about the check above it, and between two of perfmon_capable()'s
        // questions about the first.
        let of_capability = matches!(&effect, Some(Effect::Avc(avc))
            if avc.field("tclass").is_some_and(|class| class.starts_with("cap")));
        if !of_capability {
            before.clone_from(&effect);
        }
        let place = place.or(last.filter(|_| of_capability));
        answered.push(ExplainedEffect {
            line: line.clone(),
            effect,
            check: place.map(|place| checks[place].clone()),
        });
    }
    answered
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
        Circumstances { version, distribution: Some("debian"), config: None }
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
        "cap perfmon = granted find_get_context(): the event watches every task of a CPU, or a cgroup; the \
         process has it"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/none/enforcing",
        "refused in perf_event_open(): the event sees the kernel's side"
    )]
    #[case("open/cpu-kernel/all_t/paranoid=2/none/enforcing", "the capability perfmon (`setcap")]
    #[case(
        "open/cpu-kernel/nocap_t/paranoid=2/perfmon+sys_admin/enforcing",
        "refused in perf_event_open(): the event sees the kernel's side (exclude_kernel is not set) cap perfmon = refused by selinux"
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
        "there is no AVC record of it: the capability was never in the process's effective set"
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
        "lockdown confidentiality refuses, whatever the process may do, and no privilege helps"
    )]
    #[case(
        "bpf/load-kprobe/all_t/paranoid=2/none/enforcing",
        "least privilege: the capability perfmon (`setcap cap_perfmon=ep FILE`), which SELinux is then asked about the capability bpf"
    )]
    #[case(
        "proc/mem/all_t/paranoid=2/perfmon/enforcing",
        "least privilege: the capability dac_read_search"
    )]
    #[case("event/read/none_t/paranoid=2/perfmon/enforcing", "security_perf_event_read()")]
    fn a_line_is_explained(#[case] name: &str, #[case] words: &str) {
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
                for expected in case.expected(&at, &kernel) {
                    assert!(lines.any(|line| line == expected.text), "{text}\n{expected:?}");
                    let effect = expected.text.starts_with(' ');
                    let deep = |line: &str| line.starts_with("      ");
                    assert!(!effect || lines.next().is_some_and(deep), "{text}\n{expected:?}");
                }
            }
        }
    }

    /// A subject that has CAP_PERFMON in a domain that is allowed everything is asked everything.
    #[rstest]
    #[case((5, 10, 262))]
    #[case((6, 1, 192))]
    #[case((7, 3, 4))]
    fn the_walk_asks_for_perfmon_as_often_as_the_suite_sees(#[case] version: (u32, u32, u32)) {
        let kernel = kernel(version);
        let perfmon = "perfmon".parse().unwrap();
        let mut compared = 0;
        for case in LIBRARY.cases.iter().filter(|case| case.name.starts_with("open/")) {
            let [Step::PerfEventOpen(call)] = case.steps.as_slice() else { continue };
            for at in case.axes.coordinates() {
                let lines = case.expected(&at, &kernel);
                let opened = lines.first().is_some_and(|line| line.text.ends_with("= fd"));
                if at.domain != "all_t" || at.grant != perfmon || !opened {
                    continue;
                }
                let open = EventWalk { call, level: at.paranoid, kernel };
                let asked = open
                    .checks()
                    .iter()
                    .filter(|check| check.question == WalkQuestion::Perfmon)
                    .count();
                let seen =
                    lines.iter().filter(|line| line.text == "  cap perfmon = granted").count();
                if case.unmet(&kernel).is_none() {
                    assert_eq!(asked, seen, "{}", case.cell_name(&at));
                    compared += 1;
                }
            }
        }
        assert!(compared > 20, "{compared}");
    }

    /// Every perf question in every transcript of the suite has its place in the walk: a `cap` or `avc` line
    /// about perf that the walk does not ask, or not there, would be explained wrongly.
    #[rstest]
    #[case((5, 10, 262))]
    #[case((6, 1, 192))]
    #[case((6, 12, 117))]
    #[case((7, 3, 4))]
    fn the_walk_asks_what_the_suite_sees(#[case] version: (u32, u32, u32)) {
        let kernel = kernel(version);
        let mut unexplained = BTreeSet::new();
        for case in &LIBRARY.cases {
            if case.unmet(&kernel).is_some() {
                continue;
            }
            for at in case.axes.coordinates() {
                let lines: Vec<_> =
                    case.expected(&at, &kernel).into_iter().map(|line| line.text).collect();
                let mut steps = case.steps.iter();
                let mut rest = lines.as_slice();
                while let [call, after @ ..] = rest {
                    let end = after.iter().position(|line| !line.starts_with(' '));
                    let end = end.unwrap_or(after.len());
                    if let Some(Step::PerfEventOpen(open)) =
                        steps.find(|step| call.starts_with(&step.to_string()))
                    {
                        let open = EventWalk { call: open, level: at.paranoid, kernel };
                        for one in assign(&after[..end], &open.checks()) {
                            let of_perf = ["cap ", "tclass=perf_event", "tclass=lockdown"]
                                .iter()
                                .any(|mark| one.line.contains(mark));
                            if of_perf && one.check.is_none() && !one.line.contains("unaudited") {
                                unexplained.insert(format!(
                                    "{}: {}",
                                    case.cell_name(&at),
                                    one.line
                                ));
                            }
                        }
                    }
                    rest = &after[end..];
                }
            }
        }
        assert_eq!(unexplained, BTreeSet::new());
    }
}
