//! Prints the least privilege that would allow what a program was denied.

use crate::allow::{RuleScope, Rules, why};
use crate::audit::{RecordGroup, SysAdminReason, is_capability};
use crate::text::{Text, line};

use super::super::knowledge::Knowledge;
use super::super::text::paragraph;
use super::effect::is_harmless;
use super::lockdown;

/// The permissions of an event's life, in the kernel's order.
const LIFE: [&str; 5] = ["open", "kernel", "cpu", "read", "write"];

/// Prints the rules, and those that only silence records.
pub(super) fn least(out: &mut Text, groups: &[&RecordGroup], knowledge: &Knowledge, failed: bool) {
    let (harmless, needed): (Vec<_>, Vec<_>) =
        groups.iter().copied().partition(|group| is_harmless(group));
    silence(out, &harmless);
    let rules = Rules::from_denials(needed.iter().map(|group| &group.denial));
    if !rules.is_empty() {
        let through = needed.iter().all(|group| group.denial.permissive == Some(true));
        let mode = if through { " for enforcing mode" } else { "" };
        line!(out, "  least privilege{mode} (`perfsec allow` writes the module):");
        lines(out, 4, &rules);
        if failed {
            let seen = |name: &&str| {
                needed.iter().any(|group| {
                    group.denial.class == "perf_event" && group.denial.permissions.contains(*name)
                })
            };
            let later: Vec<_> = LIFE
                .iter()
                .filter(|name| !seen(name))
                .map(|name| format!("{{ {name} }}"))
                .collect();
            let text = format!(
                "this does not make the call succeed; once it does, {} may follow",
                later.join(", ")
            );
            paragraph(out, 4, &text);
        }
    }
    let unsaid = |group: &&RecordGroup| {
        let replaceable = ["perfmon", "bpf"].iter().any(|cap| group.denial.has_capability(cap));
        replaceable && group.denial.permissive == Some(false) && group.calls.is_empty()
    };
    if needed.iter().copied().any(|group| unsaid(&group)) {
        let text = "if nothing is broken, dontaudit in place of allow silences the record instead";
        paragraph(out, 4, text);
    }
    for record in &rules.unused {
        paragraph(out, 2, &format!("no rule can be given for this: {}", record.why));
    }
    let mut printed = Vec::new();
    for group in needed.iter().filter(|group| !group.denial.granted) {
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

/// Prints how to silence the records of denials that broke nothing.
fn silence(out: &mut Text, harmless: &[&RecordGroup]) {
    let rules = Rules::from_denials(harmless.iter().map(|group| &group.denial));
    if rules.is_empty() {
        return;
    }
    if harmless.iter().any(|group| !lockdown::is_ignored(&group.denial)) {
        paragraph(out, 2, "Nothing is broken by these denials.");
    }
    out.line("  to silence the records:");
    for (scope, rule) in rules.iter() {
        line!(out, "    dontaudit{}", rule.te(scope).trim_start_matches("allow"));
    }
    let has = |name: &str| harmless.iter().any(|group| group.denial.has_capability(name));
    let loads = harmless.iter().any(|group| {
        group.denial.has_capability("perfmon")
            && group.calls.iter().any(|call| call.bpf_command() == Some("BPF_PROG_LOAD"))
    });
    let names = match (has("bpf"), has("perfmon") && !loads) {
        (true, true) => "bpf and perfmon",
        (true, false) => "bpf",
        (false, true) => "perfmon",
        (false, false) => return,
    };
    let rest = if has("perfmon") && loads { "; perfmon need not be given" } else { "" };
    let text = format!(
        "or allow {names} of capability2, which is narrower than sys_admin: that could then be \
         withdrawn if nothing else needs it{rest}"
    );
    paragraph(out, 4, &text);
}

/// Prints the rules, with CAP_PERFMON in place of CAP_SYS_ADMIN where it suffices.
fn lines(out: &mut Text, indent: usize, rules: &Rules) {
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
