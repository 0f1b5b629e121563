//! Explains the records of a log.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::knowledge::{Knowledge, Permission};
use super::missing::{self, REASONS};
use super::text::paragraph;
use crate::allow::{RuleScope, Rules, why};
use crate::audit::{AuditedCall, CallOutcome, Log, RecordGroup, SysAdminReason, is_capability};
use crate::counted::counted;
use crate::coverage::Point;
use crate::text::{Text, line};

/// The explanation of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogExplanation {
    /// The text to print.
    pub text: Text,
    /// Number of records that it explains.
    pub records: usize,
}

/// A program in a domain.
struct Actor<'a> {
    domain: &'a str,
    comm: Option<&'a str>,
    groups: Vec<&'a RecordGroup>,
}

/// The number of checkpoints to name for a permission. `perfsec coverage --list` has them all.
const CHECKPOINTS: usize = 3;

/// The number of record groups to name that are not about perf.
const UNRELATED: usize = 8;

/// Explains the records about perf in a log, program by program.
#[must_use]
pub fn log(log: &Log, knowledge: &Knowledge) -> LogExplanation {
    let Triage { about_perf, undetermined, unrelated } = Triage::new(log, knowledge);
    let mut actors: Vec<Actor<'_>> = Vec::new();
    let mut indices = HashMap::new();
    for group in about_perf {
        let (domain, comm) = (group.denial.source.short(), group.denial.comm.as_deref());
        let index = *indices.entry((domain, comm)).or_insert_with(|| {
            actors.push(Actor { domain, comm, groups: Vec::new() });
            actors.len() - 1
        });
        actors[index].groups.push(group);
    }
    let mut text = Text::new();
    let mut records = 0;
    for actor in &actors {
        records += actor.groups.iter().map(|group| group.count).sum::<usize>();
        explain(&mut text, actor, knowledge);
        text.end();
    }
    skipped(&mut text, log, &unrelated, &undetermined);
    text.trim_end();
    LogExplanation { text, records }
}

/// The records of a log, by whether they are about perf.
#[derive(Debug, Default)]
pub struct Triage<'a> {
    /// Records about perf, as far as they and their system call show.
    pub about_perf: Vec<&'a RecordGroup>,
    /// Records that may not be about perf: other parts of the kernel ask for these capabilities
    /// too, and no SYSCALL record shows the call.
    pub undetermined: Vec<&'a RecordGroup>,
    /// Records that are not about perf.
    pub unrelated: Vec<&'a RecordGroup>,
}

/// The prefix of the names of perf and similar programs.
const PERF: &str = "perf";

impl<'a> Triage<'a> {
    /// Sorts a log's records.
    #[must_use]
    pub fn new(log: &'a Log, knowledge: &Knowledge) -> Self {
        let certain: Vec<&RecordGroup> = log
            .groups
            .iter()
            .filter(|group| {
                group.denial.class == "perf_event" || group.denial.has_capability("perfmon")
            })
            .collect();
        let mut this = Self::default();
        for group in &log.groups {
            let known = group.denial.permissions.iter().any(|name| fits(group, name, knowledge));
            let perfmon = group.denial.has_capability("perfmon");
            if !known {
                this.unrelated.push(group);
            } else if perfmon || !is_capability(&group.denial.class) || !group.calls.is_empty() {
                this.about_perf.push(group);
            } else {
                let comm = group.denial.comm.as_deref().unwrap_or_default();
                let is_perf = comm.starts_with(PERF);
                match is_perf || certain.iter().any(|other| share_process(group, other)) {
                    true => this.about_perf.push(group),
                    false => this.undetermined.push(group),
                }
            }
        }
        this
    }
}

/// True if two groups may have records of the same process.
fn share_process(one: &RecordGroup, other: &RecordGroup) -> bool {
    one.denial.comm == other.denial.comm
        && one.denial.source == other.denial.source
        && (one.pids.is_empty() && other.pids.is_empty() || !one.pids.is_disjoint(&other.pids))
}

/// True if a permission can be about perf in the group's system calls.
fn fits(group: &RecordGroup, name: &str, knowledge: &Knowledge) -> bool {
    let denial = &group.denial;
    let Some(permission) = knowledge.permission(&denial.class, name) else { return false };
    let within = |only: &[String]| group.calls.iter().any(|call| only.contains(&call.name));
    let fits = permission.only_in.is_empty() || within(&permission.only_in);
    let path = permission.only_path.is_none() || permission.only_path == denial.path;
    // Other parts of the kernel ask for these capabilities too.
    let elsewhere = permission.capability.is_some()
        && permission.name != "perfmon"
        && !group.calls.is_empty()
        && !group.calls.iter().any(|call| knowledge.concerns_perf(&call.name));
    fits && path && !elsewhere
}

fn explain(out: &mut Text, actor: &Actor<'_>, knowledge: &Knowledge) {
    let (domain, comm) = (actor.domain, actor.comm.unwrap_or("a program"));
    let groups = actor.groups.as_slice();
    paragraph(out, 0, &format!("{comm} in {domain}: {}", outcome(groups)));
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut items: Vec<(&RecordGroup, &str)> = Vec::new();
    for group in groups {
        for name in &group.denial.permissions {
            let key = (group.denial.class.as_str(), name.as_str());
            if !seen.contains_key(&key) {
                items.push((group, name));
            }
            *seen.entry(key).or_default() += group.count;
        }
    }
    for (group, name) in items {
        let class = group.denial.class.as_str();
        let number = seen.get(&(class, name)).copied().unwrap_or_default();
        let alike = groups
            .iter()
            .filter(|other| other.denial.class == class && other.denial.permissions.contains(name));
        let calls: Vec<&AuditedCall> = alike.flat_map(|other| &other.calls).collect();
        item(out, group, name, number, &calls, knowledge);
    }
    let missing = missing::missing_records(groups);
    for note in &missing.notes {
        paragraph(out, 2, note);
        if missing.reasons && note.ends_with(':') {
            reasons(out, 4);
        }
    }
    least(out, groups, knowledge);
}

/// Lists the three possible reasons for a missing record.
pub(super) fn reasons(out: &mut Text, indent: usize) {
    for (number, reason) in REASONS.iter().enumerate() {
        let end = if number + 1 < REASONS.len() { ";" } else { "." };
        paragraph(out, indent, &format!("{}. {reason}{end}", number + 1));
    }
}

/// Summarises the outcome of all records.
fn outcome(groups: &[&RecordGroup]) -> String {
    let has = |test: fn(&RecordGroup) -> bool| groups.iter().any(|group| test(group));
    let granted = has(|group| group.denial.granted);
    let refused = has(|group| !group.denial.granted && group.denial.permissive == Some(false));
    let let_through = has(|group| !group.denial.granted && group.denial.permissive == Some(true));
    let unsaid = has(|group| !group.denial.granted && group.denial.permissive.is_none());
    let mut words = Vec::new();
    if refused {
        words.push("denied by SELinux (permissive=0)");
    }
    if let_through {
        words.push("denied by SELinux but let through (permissive=1)");
    }
    if unsaid {
        words.push("denied by SELinux, perhaps let through (the records lack permissive=)");
    }
    if granted {
        words.push("allowed, and logged by an auditallow rule");
    }
    words.join("; ")
}

/// Explains one permission.
fn item(
    out: &mut Text,
    group: &RecordGroup,
    name: &str,
    number: usize,
    calls: &[&AuditedCall],
    knowledge: &Knowledge,
) {
    let class = &group.denial.class;
    let times = if number > 1 { format!(", {}", counted(number, "record")) } else { String::new() };
    let Some(permission) = knowledge.permission(class, name) else {
        paragraph(
            out,
            2,
            &format!(
                "{class} {{ {name} }}{times}: perfsec has no description of \
            it"
            ),
        );
        return;
    };
    let cap = permission
        .capability
        .map_or(String::new(), |cap| format!(" (CAP_{}, {cap})", permission.name.to_uppercase()));
    paragraph(out, 2, &format!("{class} {{ {name} }}{cap}{times}: to {}", permission.what));
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let points = knowledge.checkpoints(permission, &names);
    paragraph(out, 4, &format!("checked by {}", locate(permission, &points, knowledge, &names)));
    let failed = calls.iter().filter(|call| call.outcome != CallOutcome::Success);
    let mut ends: Vec<_> = failed.map(ToString::to_string).collect();
    ends.sort();
    ends.dedup();
    match permission.refused.as_deref() {
        _ if !ends.is_empty() => paragraph(out, 4, &ends.join(", ")),
        Some(errno) if group.denial.refused() && calls.is_empty() => {
            paragraph(out, 4, &format!("the call fails with {errno}"));
        }
        _ => {}
    }
    if let (Some(whose), true) = (&permission.target, group.denial.source != group.denial.target) {
        let target = group.denial.target.short();
        paragraph(out, 4, &format!("the target {target} is {whose}"));
    }
    if group.denial.source.invalid || group.denial.target.invalid {
        paragraph(
            out,
            4,
            "the loaded policy does not define the context, so SELinux treats it as unlabeled",
        );
    }
}

/// Names the kernel functions, files and system calls that check a permission.
pub(super) fn locate(
    permission: &Permission,
    points: &[&Point],
    knowledge: &Knowledge,
    calls: &[&str],
) -> String {
    let mut text = permission.hook.clone();
    if points.is_empty() {
        let _ = write!(text, " ({})", permission.source);
        return text;
    }
    let functions: Vec<_> = points
        .iter()
        .take(CHECKPOINTS)
        .map(|point| {
            let function = point.functions.first().map_or(point.name.as_str(), String::as_str);
            format!("{function}()")
        })
        .collect();
    let mut files: Vec<_> =
        points.iter().take(CHECKPOINTS).map(|point| point.file.as_str()).collect();
    files.dedup();
    let _ = write!(text, " in {} ({})", functions.join(", "), files.join(", "));
    if points.len() > CHECKPOINTS {
        let more = points.len() - CHECKPOINTS;
        let what = if more == 1 { "place" } else { "places" };
        let _ = write!(text, " and {more} more {what} (`perfsec coverage --list`)");
    }
    let mut syscalls: Vec<_> = points.iter().flat_map(|point| knowledge.syscalls(point)).collect();
    syscalls.sort_unstable();
    syscalls.dedup();
    syscalls.retain(|name| calls.is_empty() || calls.contains(name));
    if !syscalls.is_empty() {
        let names: Vec<_> = syscalls.iter().map(|name| format!("{name}(2)")).collect();
        let _ = write!(text, ", during {}", names.join(", "));
    }
    text
}

/// Prints the least privilege that would allow the accesses.
fn least(out: &mut Text, groups: &[&RecordGroup], knowledge: &Knowledge) {
    let rules = Rules::from_denials(groups.iter().map(|group| &group.denial));
    if !rules.is_empty() {
        out.line("  least privilege (`perfsec allow` writes the module):");
        lines(out, 4, &rules);
    }
    for record in &rules.unused {
        paragraph(out, 2, &format!("no rule can allow this: {}", record.why));
    }
    let mut printed = Vec::new();
    for group in groups.iter().filter(|group| !group.denial.granted) {
        for name in &group.denial.permissions {
            let permission = knowledge.permission(&group.denial.class, name);
            let Some(instead) = permission.and_then(|one| one.instead.as_deref()) else { continue };
            if !printed.contains(&instead) && name != "sys_admin" {
                printed.push(instead);
                paragraph(out, 2, &format!("to avoid {{ {name} }}: {instead}"));
            }
        }
    }
}

/// Prints the rules, with CAP_PERFMON in place of CAP_SYS_ADMIN where it suffices.
pub(super) fn lines(out: &mut Text, indent: usize, rules: &Rules) {
    let mut admin = Vec::new();
    for (scope, rule) in rules.iter() {
        if rule.permissions.contains("sys_admin") && is_capability(&scope.class) {
            admin.push((scope, rule));
        } else {
            line!(out, "{:indent$}{}", "", rule.te(scope));
        }
    }
    for (scope, rule) in admin {
        let domain = &scope.source;
        let reasons = rules.sys_admin.get(domain);
        if reasons.is_some_and(|reasons| reasons.iter().all(|one| *one == SysAdminReason::OnItsOwn))
        {
            line!(out, "{:indent$}{}", "", rule.te(scope));
            paragraph(out, indent, why(SysAdminReason::OnItsOwn));
            continue;
        }
        let perfmon = RuleScope { class: "capability2".to_owned(), ..scope.clone() };
        if !rules.allows(&perfmon, "perfmon") {
            line!(out, "{:indent$}allow {domain} self:capability2 perfmon;", "");
        }
        paragraph(
            out,
            indent,
            "and give the program CAP_PERFMON instead of CAP_SYS_ADMIN (`setcap cap_perfmon=ep \
             FILE`), as perf-security.rst recommends. Only uprobes, breakpoints in the kernel and \
             Debian's level 3 need:",
        );
        line!(out, "{:indent$}{}", "", rule.te(scope));
    }
}

/// Lists the records and lines that are not explained.
fn skipped(out: &mut Text, log: &Log, unrelated: &[&RecordGroup], undetermined: &[&RecordGroup]) {
    let undetermined: usize = undetermined.iter().map(|group| group.count).sum();
    if undetermined > 0 {
        let records = counted(undetermined, "record");
        paragraph(
            out,
            0,
            &format!(
                "skipped {records} of capabilities that may not be about perf: no SYSCALL record \
                 shows the call"
            ),
        );
    }
    for group in unrelated.iter().take(UNRELATED) {
        let denial = &group.denial;
        let names: Vec<_> = denial.permissions.iter().map(String::as_str).collect();
        let comm = denial.comm.as_deref().unwrap_or("a program");
        let line = format!(
            "{comm} in {}: {} {{ {} }} is not about perf ({})",
            denial.source.short(),
            denial.class,
            names.join(" "),
            counted(group.count, "record"),
        );
        paragraph(out, 0, &line);
    }
    if unrelated.len() > UNRELATED {
        let more = unrelated.len() - UNRELATED;
        let are = if more == 1 { "group of records is" } else { "groups of records are" };
        line!(out, "and {more} more {are} not about perf");
    }
    if log.damaged > 0 {
        let why = log.damage.as_ref().map_or(String::new(), |error| format!(": {error}"));
        paragraph(out, 0, &format!("{} not a complete AVC record{why}", are(log.damaged)));
    }
    if log.too_long > 0 {
        paragraph(out, 0, &format!("{} longer than any record", are(log.too_long)));
    }
    if log.other > 0 {
        paragraph(out, 0, &format!("skipped {}", counted(log.other, "other line")));
    }
}

fn are(lines: usize) -> String {
    format!("{} {}", counted(lines, "line"), if lines == 1 { "is" } else { "are" })
}
