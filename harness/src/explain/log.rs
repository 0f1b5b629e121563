//! Explains the records of a log.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::knowledge::{Knowledge, Permission};
use super::missing::{self, REASONS};
use super::text::paragraph;
use crate::allow::{Rules, Scope, why};
use crate::audit::{Admin, Call, Kind, Log, Outcome, is_capability};
use crate::counted::counted;
use crate::coverage::Point;
use crate::printable::printable_line;

/// An explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// For a person.
    pub text: String,
    /// How many records it explains.
    pub records: usize,
}

/// A program in a domain.
struct Party<'a> {
    domain: &'a str,
    comm: Option<&'a str>,
    kinds: Vec<&'a Kind>,
}

/// How many places are named that ask for something; `perfsec coverage --list` has them all.
const PLACES: usize = 3;

/// How many kinds of records are named that are not about perf.
const OTHERS: usize = 8;

/// Explains what is about perf in a log, program by program.
#[must_use]
pub fn log(log: &Log, knowledge: &Knowledge) -> Explained {
    let Sorted { about, unsaid, others } = Sorted::of(log, knowledge);
    let mut parties: Vec<Party<'_>> = Vec::new();
    let mut places = HashMap::new();
    for kind in about {
        let (domain, comm) = (kind.denial.source.short(), kind.denial.comm.as_deref());
        let place = *places.entry((domain, comm)).or_insert_with(|| {
            parties.push(Party { domain, comm, kinds: Vec::new() });
            parties.len() - 1
        });
        parties[place].kinds.push(kind);
    }
    let mut text = String::new();
    let mut records = 0;
    for party in &parties {
        records += party.kinds.iter().map(|kind| kind.count).sum::<usize>();
        explain(&mut text, party, knowledge);
        text.push('\n');
    }
    passed_over(&mut text, log, &others, &unsaid);
    let text = match text.trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    };
    Explained { text, records }
}

/// The records of a log, by whether they are about perf.
#[derive(Debug, Default)]
pub struct Sorted<'a> {
    /// They are, as far as one can see from them and their system call.
    pub about: Vec<&'a Kind>,
    /// They may not be: other parts of the kernel ask for these capabilities too, and no SYSCALL record says
    /// which asked.
    pub unsaid: Vec<&'a Kind>,
    /// They are not.
    pub others: Vec<&'a Kind>,
}

/// How the programs are called that are perf, or of its kin.
const PERF: &str = "perf";

impl<'a> Sorted<'a> {
    /// Sorts a log's records.
    #[must_use]
    pub fn of(log: &'a Log, knowledge: &Knowledge) -> Self {
        let of_perf: Vec<&Kind> = log
            .kinds
            .iter()
            .filter(|kind| {
                kind.denial.class == "perf_event" || kind.denial.has_capability("perfmon")
            })
            .collect();
        let mut this = Self::default();
        for kind in &log.kinds {
            let known = kind.denial.permissions.iter().any(|name| fits(kind, name, knowledge));
            let perfmon = kind.denial.has_capability("perfmon");
            if !known {
                this.others.push(kind);
            } else if perfmon || !is_capability(&kind.denial.class) || !kind.calls.is_empty() {
                this.about.push(kind);
            } else {
                let comm = kind.denial.comm.as_deref().unwrap_or_default();
                let is_perf = comm.starts_with(PERF);
                match is_perf || of_perf.iter().any(|other| one_process(kind, other)) {
                    true => this.about.push(kind),
                    false => this.unsaid.push(kind),
                }
            }
        }
        this
    }
}

/// Whether two kinds of records have a process in common.
fn one_process(one: &Kind, other: &Kind) -> bool {
    one.denial.comm == other.denial.comm
        && one.denial.source == other.denial.source
        && (one.pids.is_empty() && other.pids.is_empty() || !one.pids.is_disjoint(&other.pids))
}

/// Whether a permission can be about perf in the system calls that are known.
fn fits(kind: &Kind, name: &str, knowledge: &Knowledge) -> bool {
    let denial = &kind.denial;
    let Some(permission) = knowledge.permission(&denial.class, name) else { return false };
    let within = |only: &[String]| kind.calls.iter().any(|call| only.contains(&call.name));
    let fits = permission.only_in.is_empty() || within(&permission.only_in);
    let path = permission.only_path.is_none() || permission.only_path == denial.path;
    // Other parts of the kernel ask for these capabilities too.
    let elsewhere = permission.capability.is_some()
        && permission.name != "perfmon"
        && !kind.calls.is_empty()
        && !kind.calls.iter().any(|call| knowledge.is_of_perf(&call.name));
    fits && path && !elsewhere
}

fn explain(out: &mut String, party: &Party<'_>, knowledge: &Knowledge) {
    let (domain, comm) = (party.domain, party.comm.unwrap_or("a program"));
    let kinds = party.kinds.as_slice();
    paragraph(out, 0, &format!("{comm} in {domain}: {}", outcome(kinds)));
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut items: Vec<(&Kind, &str)> = Vec::new();
    for kind in kinds {
        for name in &kind.denial.permissions {
            let key = (kind.denial.class.as_str(), name.as_str());
            if !seen.contains_key(&key) {
                items.push((kind, name));
            }
            *seen.entry(key).or_default() += kind.count;
        }
    }
    for (kind, name) in items {
        let class = kind.denial.class.as_str();
        let number = seen.get(&(class, name)).copied().unwrap_or_default();
        let alike = kinds
            .iter()
            .filter(|other| other.denial.class == class && other.denial.permissions.contains(name));
        let calls: Vec<&Call> = alike.flat_map(|other| &other.calls).collect();
        item(out, kind, name, number, &calls, knowledge);
    }
    let missing = missing::missing(kinds);
    for note in &missing.notes {
        paragraph(out, 2, note);
        if missing.reasons && note.ends_with(':') {
            reasons(out, 4);
        }
    }
    least(out, kinds, knowledge);
}

/// Lists the three reasons for which a record is missing.
pub(super) fn reasons(out: &mut String, indent: usize) {
    for (number, reason) in REASONS.iter().enumerate() {
        let end = if number + 1 < REASONS.len() { ";" } else { "." };
        paragraph(out, indent, &format!("{}. {reason}{end}", number + 1));
    }
}

/// What came of it, for all records together.
fn outcome(kinds: &[&Kind]) -> String {
    let has = |test: fn(&Kind) -> bool| kinds.iter().any(|kind| test(kind));
    let granted = has(|kind| kind.denial.granted);
    let refused = has(|kind| !kind.denial.granted && kind.denial.permissive == Some(false));
    let let_through = has(|kind| !kind.denial.granted && kind.denial.permissive == Some(true));
    let unsaid = has(|kind| !kind.denial.granted && kind.denial.permissive.is_none());
    let mut words = Vec::new();
    if refused {
        words.push("SELinux refused (permissive=0)");
    }
    if let_through {
        words.push("SELinux would refuse, but it was let through (permissive=1)");
    }
    if unsaid {
        words.push("denied; the record does not say whether it was let through");
    }
    if granted {
        words.push("allowed, and logged by an auditallow rule");
    }
    words.join("; ")
}

/// One permission.
fn item(
    out: &mut String,
    kind: &Kind,
    name: &str,
    number: usize,
    calls: &[&Call],
    knowledge: &Knowledge,
) {
    let class = &kind.denial.class;
    let times = if number > 1 { format!(", {}", counted(number, "record")) } else { String::new() };
    let Some(permission) = knowledge.permission(class, name) else {
        paragraph(out, 2, &format!("{class} {{ {name} }}{times}: perfsec knows nothing about it"));
        return;
    };
    let cap = permission
        .capability
        .map_or(String::new(), |cap| format!(" (CAP_{}, {cap})", permission.name.to_uppercase()));
    paragraph(out, 2, &format!("{class} {{ {name} }}{cap}{times}: to {}", permission.what));
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let places = knowledge.places(permission, &names);
    paragraph(out, 4, &format!("asked by {}", asked_in(permission, &places, knowledge, &names)));
    let failed = calls.iter().filter(|call| call.outcome != Outcome::Success);
    let mut ends: Vec<_> = failed.map(ToString::to_string).collect();
    ends.sort();
    ends.dedup();
    match permission.refused.as_deref() {
        _ if !ends.is_empty() => paragraph(out, 4, &ends.join(", ")),
        Some(errno) if kind.denial.refused() && calls.is_empty() => {
            paragraph(out, 4, &format!("the call fails with {errno}"));
        }
        _ => {}
    }
    if let (Some(whose), true) = (&permission.target, kind.denial.source != kind.denial.target) {
        let target = kind.denial.target.short();
        paragraph(out, 4, &format!("its target {target} is {whose}"));
    }
    if kind.denial.source.invalid || kind.denial.target.invalid {
        paragraph(
            out,
            4,
            "the loaded policy does not know the context, so the process runs unlabeled",
        );
    }
}

/// Where a permission is asked for.
pub(super) fn asked_in(
    permission: &Permission,
    places: &[&Point],
    knowledge: &Knowledge,
    calls: &[&str],
) -> String {
    let mut text = permission.hook.clone();
    if places.is_empty() {
        let _ = write!(text, " ({})", permission.source);
        return text;
    }
    let functions: Vec<_> = places
        .iter()
        .take(PLACES)
        .map(|point| {
            let function = point.functions.first().map_or(point.name.as_str(), String::as_str);
            format!("{function}()")
        })
        .collect();
    let mut files: Vec<_> = places.iter().take(PLACES).map(|point| point.file.as_str()).collect();
    files.dedup();
    let _ = write!(text, " in {} ({})", functions.join(", "), files.join(", "));
    if places.len() > PLACES {
        let more = places.len() - PLACES;
        let what = if more == 1 { "place" } else { "places" };
        let _ = write!(text, " and {more} more {what} (`perfsec coverage --list`)");
    }
    let mut syscalls: Vec<_> = places.iter().flat_map(|point| knowledge.syscalls(point)).collect();
    syscalls.sort_unstable();
    syscalls.dedup();
    syscalls.retain(|name| calls.is_empty() || calls.contains(name));
    if !syscalls.is_empty() {
        let names: Vec<_> = syscalls.iter().map(|name| format!("{name}(2)")).collect();
        let _ = write!(text, ", for {}", names.join(", "));
    }
    text
}

/// The least privilege that would allow it.
fn least(out: &mut String, kinds: &[&Kind], knowledge: &Knowledge) {
    let rules = Rules::of(kinds.iter().map(|kind| &kind.denial));
    if !rules.is_empty() {
        out.push_str("  least privilege (`perfsec allow` writes the module):\n");
        lines(out, 4, &rules);
    }
    for left in &rules.left {
        paragraph(out, 2, &format!("no rule can allow it: {}", left.why));
    }
    let mut told = Vec::new();
    for kind in kinds.iter().filter(|kind| !kind.denial.granted) {
        for name in &kind.denial.permissions {
            let permission = knowledge.permission(&kind.denial.class, name);
            let Some(instead) = permission.and_then(|one| one.instead.as_deref()) else { continue };
            if !told.contains(&instead) && name != "sys_admin" {
                told.push(instead);
                paragraph(out, 2, &format!("without {{ {name} }}: {instead}"));
            }
        }
    }
}

/// The rules, CAP_PERFMON in the place of CAP_SYS_ADMIN where that will do.
pub(super) fn lines(out: &mut String, indent: usize, rules: &Rules) {
    let mut admin = Vec::new();
    for (scope, rule) in rules.iter() {
        if rule.permissions.contains("sys_admin") && is_capability(&scope.class) {
            admin.push((scope, rule));
        } else {
            let _ = writeln!(out, "{:indent$}{}", "", rule.te(scope));
        }
    }
    for (scope, rule) in admin {
        let domain = &scope.source;
        let reasons = rules.sys_admin.get(domain);
        if reasons.is_some_and(|reasons| reasons.iter().all(|one| *one == Admin::OnItsOwn)) {
            let _ = writeln!(out, "{:indent$}{}", "", rule.te(scope));
            paragraph(out, indent, why(Admin::OnItsOwn));
            continue;
        }
        let perfmon = Scope { class: "capability2".to_owned(), ..scope.clone() };
        if !rules.allow(&perfmon, "perfmon") {
            let _ = writeln!(out, "{:indent$}allow {domain} self:capability2 perfmon;", "");
        }
        paragraph(
            out,
            indent,
            "and CAP_PERFMON on the program instead of CAP_SYS_ADMIN (`setcap cap_perfmon=ep FILE`), as \
             perf-security.rst prefers. Only for uprobes, breakpoints in the kernel and Debian's level 3:",
        );
        let _ = writeln!(out, "{:indent$}{}", "", rule.te(scope));
    }
}

/// What was not explained.
fn passed_over(out: &mut String, log: &Log, others: &[&Kind], unsaid: &[&Kind]) {
    let unsaid: usize = unsaid.iter().map(|kind| kind.count).sum();
    if unsaid > 0 {
        let are = if unsaid == 1 { "record of a capability" } else { "records of capabilities" };
        paragraph(
            out,
            0,
            &format!(
                "passed over: {unsaid} {are} that may not be about perf: no SYSCALL record says"
            ),
        );
    }
    for kind in others.iter().take(OTHERS) {
        let denial = &kind.denial;
        let names: Vec<_> = denial.permissions.iter().map(String::as_str).collect();
        let comm = denial.comm.as_deref().unwrap_or("a program");
        let line = format!(
            "{comm} in {}: {} {{ {} }} is not about perf ({})",
            denial.source.short(),
            denial.class,
            names.join(" "),
            counted(kind.count, "record"),
        );
        paragraph(out, 0, &line);
    }
    if others.len() > OTHERS {
        let more = others.len() - OTHERS;
        let are = if more == 1 { "kind of records is" } else { "kinds of records are" };
        let _ = writeln!(out, "and {more} more {are} not about perf");
    }
    if log.damaged > 0 {
        let why = log.damage.as_ref().map_or(String::new(), |error| format!(": {error}"));
        paragraph(
            out,
            0,
            &format!("{} no whole AVC record{}", are(log.damaged), printable_line(&why)),
        );
    }
    if log.too_long > 0 {
        paragraph(out, 0, &format!("{} longer than any record", are(log.too_long)));
    }
    if log.other > 0 {
        paragraph(out, 0, &format!("passed over: {}", counted(log.other, "other line")));
    }
}

fn are(lines: usize) -> String {
    format!("{} {}", counted(lines, "line"), if lines == 1 { "is" } else { "are" })
}
