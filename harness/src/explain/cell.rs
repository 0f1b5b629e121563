//! Explains the expected transcript of a cell, line by line.

use std::collections::BTreeMap;

use perfsec_wire::caps::{FALLBACKS, SYS_ADMIN};
use perfsec_wire::{CapSet, Lockdown, Mode};

use super::knowledge::Knowledge;
use super::least::{Advice, Least, Privileges, least, without_sys_admin};
use super::location::{location, place, predicate};
use super::log::locate;
use super::missing::NEVER_EFFECTIVE;
use super::text::paragraph;
use crate::allow::{Rule, RuleScope};
use crate::asks::{CallChecks, CheckedThing, MadeCheck};
use crate::case::{Case, Circumstances, Coordinates, Setting};
use crate::errno::Errno;
use crate::grant::cap_constant;
use crate::text::{Text, line};
use crate::transcript::{Avc, CallResult, CapLine, CapVerdict, Effect, TranscriptCall};
use crate::why::libcap;

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
        if let Some(refused) = checks.refusals.first()
            && refused.checks.is_empty()
            && let Some(because) = &refused.because
        {
            return format!("refused in {}: {because}", place(&refused.path, syscall));
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

    /// Writes what the cell needs, or why nothing helps.
    fn least(&self, out: &mut Text) {
        out.end();
        match least(self.case, self.at, &self.setting, self.at.grant.0) {
            Least::Enough(found) => self.advice(out, &found),
            Least::Nothing(why) => paragraph(out, 0, &why),
        }
    }

    /// Writes the changes that were found. Privileges that replace CAP_SYS_ADMIN are better.
    fn advice(&self, out: &mut Text, found: &[Advice]) {
        let grant = self.at.grant.0;
        let Some(first) = found.first() else { return };
        let replaced = grant
            .has(SYS_ADMIN)
            .then(|| without_sys_admin(self.case, self.at, &self.setting))
            .flatten()
            .filter(|_| first.edits.is_empty());
        if first.edits.is_empty() && !first.privileges.is_more_than(grant) {
            out.line("nothing is refused and nothing is logged as denied");
            if let Some(replaced) = replaced {
                paragraph(
                    out,
                    0,
                    &format!(
                        "CAP_SYS_ADMIN was used where less suffices: {} (perf-security.rst)",
                        file_command(replaced.caps)
                    ),
                );
                rules(out, &replaced.rules);
            }
            return;
        }
        if let Some(replaced) = replaced {
            out.line("least privilege:");
            let text = format!(
                "{} instead of CAP_SYS_ADMIN, as perf-security.rst recommends",
                file_command(replaced.caps)
            );
            paragraph(out, 2, &text);
            self.privileges(out, &Privileges { caps: grant, ..replaced });
            proved(out);
            return;
        }
        for (number, advice) in found.iter().enumerate() {
            out.line(match (number, advice.edits.is_empty()) {
                (0, true) => "least privilege:",
                (0, false) => "what helps:",
                _ => "or:",
            });
            for edit in &advice.edits {
                paragraph(out, 2, &edit.how());
            }
            self.privileges(out, &advice.privileges);
        }
        proved(out);
        let added = |set: CapSet| CapSet(set.0 & !grant.0);
        if first.edits.is_empty() && !added(first.privileges.caps).is_empty() {
            paragraph(out, 0, &format!("there is no AVC record of this: {NEVER_EFFECTIVE}"));
        }
    }

    /// Writes privileges beyond those of the cell. One command sets all capabilities of a file, as
    /// it replaces those that the file has.
    fn privileges(&self, out: &mut Text, found: &Privileges) {
        let grant = self.at.grant.0;
        if found.caps != grant {
            let added: Vec<_> = held(CapSet(found.caps.0 & !grant.0)).map(cap_constant).collect();
            let text = format!(
                "{} ({}); SELinux then checks {} too",
                added.join(" and "),
                file_command(found.caps),
                if added.len() == 1 { "it" } else { "them" }
            );
            paragraph(out, 2, &text);
        }
        if !found.executed.is_empty() {
            let added: Vec<_> = held(found.executed).map(cap_constant).collect();
            let text = format!(
                "{} on the file of the program that is executed, beside the capabilities that it has",
                added.join(" and ")
            );
            paragraph(out, 2, &text);
        }
        if found.caps.has(SYS_ADMIN)
            && !grant.has(SYS_ADMIN)
            && let Some(caps) = self.enough_below_debians_level()
        {
            let with = match caps == grant {
                true => String::new(),
                false => format!(" and {}", file_command(caps)),
            };
            let text = format!(
                "or, better, `sysctl kernel.perf_event_paranoid={HIGHEST_LEVEL}`{with}, since \
                 CAP_PERFMON does not count at Debian's level 3"
            );
            paragraph(out, 2, &text);
        }
        rules(out, &found.rules);
    }

    /// The capabilities that are enough at the highest level of upstream, if CAP_SYS_ADMIN is not
    /// among them, and the level is above it.
    fn enough_below_debians_level(&self) -> Option<CapSet> {
        let below = Coordinates { paranoid: HIGHEST_LEVEL.into(), ..self.at.clone() };
        if self.at.paranoid <= HIGHEST_LEVEL.into() {
            return None;
        }
        match least(self.case, &below, &self.setting, below.grant.0) {
            Least::Enough(found) => {
                let first = found.into_iter().next().filter(|it| it.edits.is_empty())?;
                Some(first.privileges.caps).filter(|caps| !caps.has(SYS_ADMIN))
            }
            Least::Nothing(_) => None,
        }
    }
}

fn rules(out: &mut Text, rules: &BTreeMap<RuleScope, Rule>) {
    for (scope, rule) in rules {
        line!(out, "  {}", rule.te(scope));
    }
}

fn proved(out: &mut Text) {
    let text = "computed with these in enforcing mode: nothing is refused, and nothing is logged as \
                denied";
    paragraph(out, 0, text);
}

impl Privileges {
    /// True if they include something that a program with these capabilities does not have.
    fn is_more_than(&self, grant: CapSet) -> bool {
        self.caps.0 & !grant.0 != 0 || !self.executed.is_empty() || !self.rules.is_empty()
    }
}

/// The capabilities in a set, in ascending order.
fn held(caps: CapSet) -> impl Iterator<Item = u32> {
    (0..u64::BITS).filter(move |cap| caps.has(*cap))
}

/// The command that gives a file exactly these capabilities.
fn file_command(caps: CapSet) -> String {
    match caps.is_empty() {
        true => "`setcap -r FILE`".to_owned(),
        false => format!("`setcap {}=ep FILE`", libcap(caps)),
    }
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
        Effect::Called(_) => "a system call of the program",
        Effect::Caused(effect) => return other(effect),
        Effect::Output(_) => "a line that the program wrote",
        Effect::Gap { recorded: false } => "any calls that leave no audit record",
        Effect::Gap { recorded: true } => "any calls",
        Effect::Never(_) => "no line contains this text",
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
    #[case(
        "open/cpu-kernel/all_t/paranoid=2/none/enforcing",
        "CAP_PERFMON (`setcap cap_perfmon=ep FILE`)"
    )]
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
        "least privilege: CAP_BPF (`setcap cap_bpf=ep FILE`)"
    )]
    #[case(
        "lockdown/confidentiality-kprobe/all_t/paranoid=2/perfmon/enforcing",
        "lockdown confidentiality refuses this to every process, and no privilege helps"
    )]
    #[case(
        "bpf/load-kprobe/all_t/paranoid=2/none/enforcing",
        "least privilege: CAP_PERFMON and CAP_BPF (`setcap cap_bpf,cap_perfmon=ep FILE`)"
    )]
    #[case(
        "proc/mem/all_t/paranoid=2/perfmon/enforcing",
        "(`setcap cap_dac_read_search,cap_perfmon,cap_sys_ptrace=ep FILE`)"
    )]
    #[case(
        "open/cpu-kernel/none_t/paranoid=2/sys_admin/permissive",
        "least privilege: `setcap cap_perfmon=ep FILE` instead of CAP_SYS_ADMIN, as \
         perf-security.rst recommends \
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
        "least privilege: CAP_SYS_ADMIN (`setcap cap_sys_admin=ep FILE`); SELinux then \
         checks it too computed with these"
    )]
    #[case(
        "open/self-user/no_sys_admin_t/paranoid=2/sys_admin/enforcing",
        "least privilege: `setcap -r FILE` instead of CAP_SYS_ADMIN, as perf-security.rst \
         recommends computed with these"
    )]
    #[case(
        "open/uprobe/all_t/paranoid=2/perfmon/enforcing",
        "least privilege: CAP_SYS_ADMIN (`setcap cap_perfmon,cap_sys_admin=ep FILE`)"
    )]
    #[case(
        "policy/dontaudit/dontaudit_t/paranoid=2/perfmon/enforcing",
        "least privilege: allow dontaudit_t self:capability2 perfmon; \
         allow dontaudit_t self:perf_event { cpu kernel open read write };"
    )]
    #[case(
        "open/debian-level-3/all_t/paranoid=3/perfmon/enforcing",
        "CAP_SYS_ADMIN (`setcap cap_perfmon,cap_sys_admin=ep FILE`); SELinux then checks it too \
         or, better, `sysctl kernel.perf_event_paranoid=2`, since"
    )]
    #[case(
        "lockdown/confidentiality-kprobe/all_t/paranoid=2/none/enforcing",
        "nothing helps: lockdown confidentiality refuses this to every process"
    )]
    #[case(
        "exec/bounding-set-effective/all_t/paranoid=2/perfmon+setpcap/enforcing",
        "refused in bprm_caps_from_vfs_caps(), called by execve(): the file has the effective bit"
    )]
    #[case(
        "exec/bounding-set-effective/all_t/paranoid=2/perfmon+setpcap/enforcing",
        "leave the capability in the bounding set (CapabilityBoundingSet= of a service)"
    )]
    #[case(
        "exec/nosuid/all_t/paranoid=2/perfmon/enforcing",
        "what helps: remount the file system without nosuid, or execute a copy of the program on \
         another one or: pass the capability as an ambient one (AmbientCapabilities= of a \
         service), to a file without capabilities or: `sysctl kernel.perf_event_paranoid=0`"
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
