//! Explains the expected transcript of a cell, line by line.

use perfsec_wire::caps::{FALLBACKS, SYS_ADMIN};
use perfsec_wire::{CapSet, Lockdown, Mode};

use super::knowledge::Knowledge;
use super::least::{Least, Privileges, least, without_sys_admin};
use super::location::{location, predicate};
use super::log::locate;
use super::missing::NEVER_EFFECTIVE;
use super::text::paragraph;
use crate::asks::{CallChecks, CheckedThing, MadeCheck};
use crate::case::{Case, Circumstances, Coordinates, Setting};
use crate::errno::Errno;
use crate::grant::{cap_constant, cap_name};
use crate::text::{Text, line};
use crate::transcript::{Avc, CallResult, CapLine, CapVerdict, Effect, TranscriptCall};

/// The indent of explanations, in columns. The lines that they explain have less.
const DEEP: usize = 6;

/// The highest level that is not Debian's own.
const HIGHEST_LEVEL: i32 = 2;

/// Explains the expected transcript of a cell on a kernel.
#[must_use]
pub fn cell(
    case: &Case,
    at: &Coordinates,
    kernel: &Circumstances<'_>,
    knowledge: &Knowledge,
) -> Text {
    let mut out = Text::new();
    paragraph(&mut out, 0, &format!("{}: {}", case.cell_name(at), case.title));
    for source in &case.source {
        paragraph(&mut out, 2, &format!("from {source}"));
    }
    if let Some(reason) = case.unmet_requirement(kernel) {
        paragraph(&mut out, 2, &format!("skipped on this kernel, which lacks: {reason}"));
    }
    out.end();
    let explainer = CellExplainer { case, at, setting: Setting::from(*kernel), knowledge };
    let expected = case.expected(at, &explainer.setting).least();
    let mut checks = explainer.checks().into_iter();
    for call in &expected.transcript().calls {
        explainer.call(&mut out, call, &checks.next().unwrap_or_default());
    }
    explainer.least(&mut out);
    out
}

struct CellExplainer<'a> {
    case: &'a Case,
    at: &'a Coordinates,
    setting: Setting<'a>,
    knowledge: &'a Knowledge,
}

impl CellExplainer<'_> {
    /// The checks of each call, none if the case states the expectation. Those of
    /// `perf_event_open()` have the functions and reasons of the full list.
    fn checks(&self) -> Vec<CallChecks> {
        let of = |case: &Case| case.evaluation(self.at, &self.setting).map(|found| found.checks);
        let mut own = of(self.case).unwrap_or_default();
        let full = of(&self.case.with_listed_opens()).unwrap_or_default();
        for (own, full) in own.iter_mut().zip(full) {
            let pairs = own.made.iter_mut().zip(full.made);
            for (check, listed) in pairs.take_while(|(check, listed)| check.about == listed.about) {
                (check.path, check.because) = (listed.path, listed.because);
            }
        }
        own
    }

    fn call(&self, out: &mut Text, call: &TranscriptCall, checks: &CallChecks) {
        line!(out, "{}", call.head);
        let syscall = call.head.syscall().map_or("", |syscall| &syscall.name);
        if let Some(CallResult::Error(errno)) = call.head.result() {
            paragraph(out, DEEP, &self.refusal(*errno, call, checks, syscall));
        }
        for (index, effect) in call.effects.iter().enumerate() {
            line!(out, "  {effect}");
            let check = checks.made.iter().position(|check| check.lines.contains(&index));
            let before = index.checked_sub(1).map(|before| &call.effects[before]);
            let why = match (effect, check) {
                (Effect::Cap(line), Some(check)) => capability(line, &checks.made, check, syscall),
                (Effect::Avc(avc), check) => {
                    self.record(avc, check.map(|at| &checks.made[at]), syscall, before)
                }
                (effect, _) => other(effect),
            };
            paragraph(out, DEEP, &why);
        }
    }

    /// The reason why a call fails.
    fn refusal(
        &self,
        errno: Errno,
        call: &TranscriptCall,
        checks: &CallChecks,
        syscall: &str,
    ) -> String {
        if !errno.is_denial() {
            return format!(
                "{errno} is not a refusal: every check passed, and the kernel rejects the call for \
                 another reason"
            );
        }
        if checks.refusing.is_some()
            && let Some(check) = checks.made.iter().rev().find(|check| !check.passes)
        {
            let because = check.because.clone().unwrap_or_else(|| asked(check));
            let hidden = match check.lines.is_empty() {
                true => "; a dontaudit rule hides the record",
                false => "",
            };
            return format!("refused in {}: {because}{hidden}", location(check, syscall));
        }
        if self.case.lockdown != Lockdown::None && errno == Errno::EPERM {
            return format!(
                "every check passed: lockdown {} refuses this to every process, and no privilege \
                 helps",
                self.case.lockdown
            );
        }
        let refusing = call.effects.iter().rev().find(|effect| match effect {
            Effect::Avc(avc) => !self.let_through(avc),
            Effect::Cap(line) => line.verdict != CapVerdict::Granted,
            _ => false,
        });
        match (refusing, self.at.mode) {
            (Some(effect), _) if checks.made.is_empty() => {
                format!("refused by the check `{effect}`")
            }
            _ if !checks.made.is_empty() || self.at.mode != Mode::Enforcing => {
                "refused by a check that logs nothing, such as an ordinary permission (file mode, \
                 uid); not by a capability or SELinux"
                    .to_owned()
            }
            _ => {
                "refused without a record: SELinux refused and a dontaudit rule hides the record, \
                  or an ordinary permission (file mode, uid) is missing"
                    .to_owned()
            }
        }
    }

    fn let_through(&self, avc: &Avc) -> bool {
        let default = if self.at.mode == Mode::Permissive { "1" } else { "0" };
        avc.verb == "granted" || avc.field("permissive").unwrap_or(default) == "1"
    }

    /// Explains an AVC record, which may belong to a check or follow that of a capability.
    fn record(
        &self,
        avc: &Avc,
        check: Option<&MadeCheck>,
        syscall: &str,
        before: Option<&Effect>,
    ) -> String {
        let class = avc.field("tclass").unwrap_or_default();
        let ends = if avc.verb == "granted" {
            "allowed, and logged by an auditallow rule"
        } else if self.let_through(avc) {
            "logged and let through"
        } else {
            "refused"
        };
        if class.starts_with("cap") && matches!(before, Some(Effect::Cap(_))) {
            return format!("SELinux's record of this check: {ends}");
        }
        let known = avc.permissions.iter().find_map(|name| self.knowledge.permission(class, name));
        let Some(known) = known else {
            let names = avc.permissions.join(" ");
            return format!("{class} {{ {names} }} is not a check of perf; {ends}");
        };
        match check.filter(|check| !check.path.is_empty()) {
            Some(check) => {
                let place = location(check, syscall);
                let because = check.because.clone().unwrap_or_else(|| format!("to {}", known.what));
                format!("{} in {place}: {because}; {ends}", known.hook)
            }
            None => {
                let points = self.knowledge.checkpoints(known, &[syscall]);
                let place = locate(known, &points, self.knowledge, &[syscall]);
                format!("checked by {place}, to {}; {ends}", known.what)
            }
        }
    }

    /// Writes the least privileges with which nothing is refused, or why there are none.
    fn least(&self, out: &mut Text) {
        out.end();
        match least(self.case, self.at, &self.setting, self.at.grant.0) {
            Least::Enough(found) => self.advice(out, found),
            Least::Never => {
                paragraph(out, 0, "no capability and no SELinux rule lifts every refusal");
            }
            Least::NotByGrant(cap) => paragraph(
                out,
                0,
                &format!(
                    "no file capability on the program lifts every refusal: where the kernel asks \
                     for {}, the steps before have changed the capabilities, or the process is in \
                     a user namespace",
                    cap_constant(cap)
                ),
            ),
            Least::Unknown => paragraph(
                out,
                0,
                "the case states what this cell sees in enforcing mode, so no privilege can be \
                 derived",
            ),
        }
    }

    /// Writes the privileges that were found. Those that replace CAP_SYS_ADMIN are better.
    fn advice(&self, out: &mut Text, found: Privileges) {
        let grant = self.at.grant.0;
        let added = |found: &Privileges| CapSet(found.caps.0 & !grant.0);
        let replaced = grant
            .has(SYS_ADMIN)
            .then(|| without_sys_admin(self.case, self.at, &self.setting))
            .flatten();
        if found.rules.is_empty() && added(&found).is_empty() {
            out.line("nothing is refused and nothing is logged as denied");
            if let Some(replaced) = replaced.filter(|found| !added(found).is_empty()) {
                let setcap = setcap(added(&replaced));
                let text = format!(
                    "CAP_SYS_ADMIN was used where less suffices: {setcap} (perf-security.rst)"
                );
                paragraph(out, 0, &text);
            }
            return;
        }
        out.line("least privilege:");
        let instead = replaced.is_some();
        let found = replaced.unwrap_or(found);
        for cap in held(added(&found)) {
            let (name, setcap) = (cap_name(cap), setcap(CapSet::one(cap)));
            let text = format!("the capability {name} ({setcap}); SELinux then checks it too");
            paragraph(out, 2, &text);
        }
        if instead {
            paragraph(out, 2, "no CAP_SYS_ADMIN, as perf-security.rst recommends");
        }
        if added(&found).has(SYS_ADMIN) && self.is_due_to_debians_level() {
            let text = "or, better, `sysctl kernel.perf_event_paranoid=2` and CAP_PERFMON, which \
                        does not count at Debian's level 3";
            paragraph(out, 2, text);
        }
        for (scope, rule) in &found.rules {
            line!(out, "  {}", rule.te(scope));
        }
        let proved = "computed with these in enforcing mode: nothing is refused, and nothing is \
                      logged as denied";
        paragraph(out, 0, proved);
        if !added(&found).is_empty() {
            paragraph(out, 0, &format!("there is no AVC record of this: {NEVER_EFFECTIVE}"));
        }
    }

    /// True if the cell needs no CAP_SYS_ADMIN at the highest level of upstream.
    fn is_due_to_debians_level(&self) -> bool {
        let below = Coordinates { paranoid: HIGHEST_LEVEL.into(), ..self.at.clone() };
        self.at.paranoid > HIGHEST_LEVEL.into()
            && matches!(
                least(self.case, &below, &self.setting, below.grant.0),
                Least::Enough(found) if !found.caps.has(SYS_ADMIN)
            )
    }
}

/// The capabilities in a set, in ascending order.
fn held(caps: CapSet) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |cap| caps.has(*cap))
}

/// The command that gives capabilities to a file.
fn setcap(caps: CapSet) -> String {
    let names: Vec<_> = held(caps).map(|cap| format!("cap_{}", cap_name(cap))).collect();
    format!("`setcap {}=ep FILE`", names.join(","))
}

/// Explains an effect that is no check.
fn other(effect: &Effect) -> String {
    match effect {
        Effect::Holds(_) => "the capabilities of the process after the exec",
        Effect::Domain(_) => "the exec changed the domain",
        Effect::Uid(_) => "the exec changed the user id",
        Effect::Kernel(_) => "a line in the kernel log",
        Effect::SelinuxErr(_) => {
            "SELinux refuses this regardless of allow rules: the transition is not bounded"
        }
        Effect::Record(line) => {
            return format!(
                "the call's {} record, with the serial of its others",
                line.kind.name()
            );
        }
        Effect::Cap(line) => return verdict(line, "the kernel asks for it"),
        Effect::Avc(_) | Effect::OtherRecord { .. } | Effect::Verbatim(_) => "another audit record",
    }
    .to_owned()
}

/// The question of a check, as a clause.
fn asked(check: &MadeCheck) -> String {
    match &check.about {
        CheckedThing::Capability { cap, .. } => {
            format!("the kernel asks for {}", cap_constant(*cap))
        }
        CheckedThing::Permissions { class, permissions, .. } => {
            format!("the kernel asks for {class} {{ {} }}", permissions.join(" "))
        }
    }
}

/// Explains the line of a capability check, the one at `index`.
fn capability(line: &CapLine, checks: &[MadeCheck], index: usize, syscall: &str) -> String {
    let check = &checks[index];
    let first = index.checked_sub(1).map(|before| &checks[before]);
    let is_fallback = first.is_some_and(|first| {
        let pair = |cap| FALLBACKS.contains(&(cap, line.cap));
        let fits = matches!(first.about, CheckedThing::Capability { cap, .. } if pair(cap));
        fits && !first.passes && first.path == check.path
    });
    let why = if is_fallback {
        let function = predicate(check).unwrap_or_else(|| location(check, syscall));
        format!("{function} accepts {} instead", cap_constant(line.cap))
    } else {
        let because = check.because.clone().unwrap_or_else(|| asked(check));
        format!("{}: {because}", location(check, syscall))
    };
    verdict(line, &why)
}

/// Appends the verdict of a capability check to its reason.
fn verdict(line: &CapLine, why: &str) -> String {
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
        let text = cell(case, &at, &kernel((6, 1, 192)), &knowledge).plain();
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
        "cap perfmon = granted perf_allow_cpu(), called by find_get_context(), called by \
         perf_event_open(): the event monitors every task on a CPU, or a cgroup; the process holds \
         it"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/none/enforcing",
        "refused in perf_allow_kernel(), called by perf_event_open(): the event monitors the kernel"
    )]
    #[case("open/cpu-kernel/all_t/paranoid=2/none/enforcing", "the capability perfmon (`setcap")]
    #[case(
        "open/cpu-kernel/nocap_t/paranoid=2/perfmon+sys_admin/enforcing",
        "refused in perf_allow_kernel(), called by perf_event_open(): the event monitors the \
         kernel (exclude_kernel is not set) cap perfmon = refused by selinux"
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
    #[case(
        "open/cpu-kernel/none_t/paranoid=2/sys_admin/permissive",
        "least privilege: the capability perfmon (`setcap cap_perfmon=ep FILE`); SELinux then \
         checks it too no CAP_SYS_ADMIN, as perf-security.rst recommends \
         allow none_t self:capability2 perfmon; \
         allow none_t self:perf_event { cpu kernel open }; \
         computed with these in enforcing mode: nothing is refused"
    )]
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/sys_admin/enforcing",
        "CAP_SYS_ADMIN was used where less suffices: `setcap cap_perfmon=ep FILE`"
    )]
    #[case(
        "open/breakpoint-kernel/all_t/paranoid=2/none/enforcing",
        "least privilege: the capability sys_admin (`setcap cap_sys_admin=ep FILE`); SELinux then \
         checks it too computed with these"
    )]
    #[case(
        "open/self-user/no_sys_admin_t/paranoid=2/sys_admin/enforcing",
        "least privilege: no CAP_SYS_ADMIN, as perf-security.rst recommends computed with these"
    )]
    #[case(
        "open/uprobe/all_t/paranoid=2/perfmon/enforcing",
        "least privilege: the capability sys_admin"
    )]
    #[case(
        "policy/dontaudit/dontaudit_t/paranoid=2/perfmon/enforcing",
        "least privilege: allow dontaudit_t self:capability2 perfmon; \
         allow dontaudit_t self:perf_event { cpu kernel open read write };"
    )]
    #[case(
        "open/debian-level-3/all_t/paranoid=3/perfmon/enforcing",
        "the capability sys_admin (`setcap cap_sys_admin=ep FILE`); SELinux then checks it too or, \
         better, `sysctl kernel.perf_event_paranoid=2`"
    )]
    #[case(
        "lockdown/confidentiality-kprobe/all_t/paranoid=2/none/enforcing",
        "no capability and no SELinux rule lifts every refusal"
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
                let text = cell(case, &at, &kernel, &knowledge).plain();
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
