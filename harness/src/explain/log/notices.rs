//! Explains lines of the kernel and the audit system that are not AVC records.

use std::collections::BTreeSet;

use super::super::text::paragraph;
use super::errors::cause;
use super::lockdown::feature;
use crate::audit::{
    AppArmorRecord, AuditedCall, CallOutcome, DecisionSummary, Log, Notice, SeccompAction,
    SeccompRecord, UnknownHandling,
};
use crate::counted::counted;
use crate::errno::Errno;
use crate::text::Text;

/// Classes and capabilities that perf and BPF tools need.
const CLASSES: [&str; 3] = ["perf_event", "bpf", "lockdown"];
const CAPABILITIES: [&str; 7] =
    ["perfmon", "sys_admin", "bpf", "sys_ptrace", "ipc_lock", "syslog", "dac_read_search"];

/// Parts of paths of files that perf needs.
const PATHS: [&str; 6] =
    ["perf_event", "/tracing", "kallsyms", "/proc/kcore", "/sys/fs/bpf", "kptr_restrict"];

/// Calls with which perf and BPF tools begin.
const CALLS: [&str; 2] = ["perf_event_open", "bpf"];

/// Explains the facts of a log. Returns the number of lines that it explains.
pub(super) fn notices(out: &mut Text, log: &Log) -> usize {
    let mut explained = undefined(out, log);
    for (notice, count) in &log.notices {
        let (text, about_perf) = match notice {
            // Explained together.
            Notice::UndefinedClass(_)
            | Notice::UndefinedPermission { .. }
            | Notice::UnknownPermissions(_) => continue,
            Notice::Lockdown { comm, what } => lockdown(comm.as_deref(), what),
            Notice::AppArmor(record) => apparmor(record),
            Notice::Seccomp(record) => seccomp(record),
            Notice::SelinuxErr { operation } => (selinux_err(operation), true),
            Notice::Mode { enforcing } => (mode(*enforcing).to_owned(), true),
            // Explained together.
            Notice::Lost(_) => continue,
            Notice::NoCounters => (NO_COUNTERS.to_owned(), true),
            Notice::HiddenAddresses => (HIDDEN.to_owned(), true),
            Notice::NoRefusal(text) => (format!("about perf, but no refusal: {text}"), true),
            Notice::NoMatches => (
                "ausearch found no record in the time and of the type that it was asked for"
                    .to_owned(),
                false,
            ),
            Notice::Decision(summary) => (decision(summary), true),
        };
        let times =
            if *count > 1 { format!(" ({})", counted(*count, "line")) } else { String::new() };
        paragraph(out, 0, &format!("{text}{times}"));
        out.end();
        if about_perf {
            explained += count;
        }
    }
    explained += lost(out, log);
    for (comm, call, count) in &log.calls {
        paragraph(out, 0, &lone_call(comm.as_deref(), call, *count));
        out.end();
        explained += count;
    }
    explained
}

const NO_COUNTERS: &str = "the kernel found no driver for performance counters, as in many virtual \
    machines: hardware events fail with ENOENT (perf prints `<not supported>`), and software \
    events work. No capability, level or SELinux rule changes that.";

const HIDDEN: &str = "addresses of the kernel's symbols are hidden, which is no refusal of events: \
    perf counts and samples, but does not name kernel symbols. kernel.kptr_restrict=2 hides them \
    from everybody, 1 from all but CAP_SYSLOG; with 0 everybody sees them if \
    kernel.perf_event_paranoid is at most 1 (kallsyms_show_value()).";

/// Explains all classes and permissions that the policy lacks.
fn undefined(out: &mut Text, log: &Log) -> usize {
    let mut lacks = BTreeSet::new();
    let (mut lines, mut others) = (0, 0);
    let mut handling = None;
    for (notice, count) in &log.notices {
        match notice {
            Notice::UndefinedClass(class) if CLASSES.contains(&class.as_str()) => {
                lacks.insert(format!("the class {class}"));
                lines += count;
            }
            Notice::UndefinedPermission { class, name }
                if CLASSES.contains(&class.as_str())
                    || class == "capability2" && CAPABILITIES.contains(&name.as_str()) =>
            {
                lacks.insert(format!("{class} {{ {name} }}"));
                lines += count;
            }
            Notice::UndefinedClass(_) | Notice::UndefinedPermission { .. } => others += count,
            Notice::UnknownPermissions(how) => handling = Some(*how),
            _ => {}
        }
    }
    if lacks.is_empty() {
        if others > 0 || handling.is_some() {
            let text = "the loaded policy lacks classes or permissions, and the log names none \
                        that perf needs";
            paragraph(out, 0, text);
            out.end();
        }
        return 0;
    }
    let lacks: Vec<_> = lacks.into_iter().collect();
    paragraph(out, 0, &format!("the loaded policy does not define {}", lacks.join(", ")));
    let elsewhere = "A refusal on this machine comes from kernel.perf_event_paranoid and the \
                     capabilities, or from a container's seccomp filter, not from SELinux.";
    let allowed = format!(
        "Unknown classes and permissions are allowed (handle_unknown=allow): SELinux refuses \
         nothing of these, and records nothing. {elsewhere} A newer policy defines them."
    );
    let denied = "Unknown classes and permissions are denied (handle_unknown=deny), with AVC \
                  records that no rule of this policy can allow or silence. Load a policy that \
                  defines them, or one that is built with handle_unknown=allow.";
    let text = match handling {
        Some(UnknownHandling::Allowed) => allowed,
        Some(UnknownHandling::Denied) => denied.to_owned(),
        Some(UnknownHandling::Rejected) => format!(
            "The kernel did not load the policy (handle_unknown=reject). If no other policy was \
             loaded before, SELinux refuses nothing. {elsewhere}"
        ),
        None => format!(
            "The log does not say how the kernel handles that (`cat \
             /sys/fs/selinux/deny_unknown`). If 0: {allowed} If 1: {denied}"
        ),
    };
    paragraph(out, 2, &text);
    out.end();
    lines
}

fn lockdown(comm: Option<&str>, what: &str) -> (String, bool) {
    let by = comm.map_or(String::new(), |comm| format!(" to {comm}"));
    let Some(feature) = feature(what) else {
        return (format!("lockdown refused{by}: {what}; this is not about perf"), false);
    };
    let remedy = match feature.level {
        "confidentiality" => {
            "boot without lockdown=confidentiality (the level integrity does not forbid this \
             upstream)"
        }
        _ => "boot without lockdown (Secure Boot turns it on in many distributions)",
    };
    let text = format!(
        "lockdown refused{by}: {what}. The kernel is locked down to {}: {}. No capability and no \
         SELinux rule helps. Either {remedy}, or {}.",
        feature.level, feature.means, feature.instead
    );
    (text, true)
}

fn apparmor(record: &AppArmorRecord) -> (String, bool) {
    let comm = record.comm.as_deref().unwrap_or("a program");
    let profile = record.profile.as_deref().unwrap_or("?");
    let complains = record.verdict != "DENIED";
    let capability = record.capability.as_deref().filter(|name| CAPABILITIES.contains(name));
    let path = record.path.as_deref().filter(|path| PATHS.iter().any(|part| path.contains(part)));
    let (what, rule) = match (capability, path) {
        (Some(name), _) => (format!("CAP_{}", name.to_uppercase()), format!("capability {name},")),
        (None, Some(path)) => (path.to_owned(), format!("{path} r,")),
        (None, None) if comm.starts_with("perf") => {
            (format!("the operation {}", record.operation), String::new())
        }
        (None, None) => {
            let text = format!(
                "AppArmor ({}), profile {profile}: {} of {comm} is not about perf",
                record.verdict, record.operation
            );
            return (text, false);
        }
    };
    if complains {
        let text = format!(
            "AppArmor's profile {profile} would refuse {what} to {comm}, but let it through ({}): \
             this is not why anything failed",
            record.verdict
        );
        return (text, true);
    }
    let mut text = format!(
        "AppArmor's profile {profile} refused {what} to {comm}; SELinux has no part in it. "
    );
    match capability {
        Some("perfmon" | "bpf") => text.push_str(
            "The kernel then asks for CAP_SYS_ADMIN: if the process holds it and the profile \
             allows it, the call went on and nothing is broken. ",
        ),
        Some("sys_admin") => text
            .push_str("perf asks for it only after CAP_PERFMON: give the program that instead. "),
        _ => {}
    }
    if !rule.is_empty() {
        text.push_str(&format!(
            "To allow it, add `{rule}` to the profile and load it again (`apparmor_parser -r`); \
             `deny {rule}` silences the record"
        ));
        text.push_str(match capability {
            Some("perfmon" | "bpf") => ". AppArmor before 3.0 does not know the name",
            _ => "",
        });
    }
    (text.trim_end().to_owned(), true)
}

fn seccomp(record: &SeccompRecord) -> (String, bool) {
    let comm = record.comm.as_deref().unwrap_or("a program");
    let call = &record.call;
    if !CALLS.contains(&call.as_str()) {
        return (
            format!("a seccomp filter acted on {call} of {comm}: this is not about perf"),
            false,
        );
    }
    let did = match record.action {
        SeccompAction::Log => {
            let text = format!(
                "a seccomp filter logged {call} of {comm} and let it through: this is not why \
                 anything failed"
            );
            return (text, true);
        }
        SeccompAction::Errno => "made it fail with an errno of the filter's choice, mostly EPERM",
        SeccompAction::Kill => "killed the program for it",
        SeccompAction::Trap => "sent SIGSYS for it",
        SeccompAction::Other(_) => "acted on it",
    };
    let text = format!(
        "a seccomp filter saw {call} of {comm} and {did}. It runs before the system call: the \
         level, capabilities and SELinux were not asked. In a container, add CAP_PERFMON if the \
         runtime's filter knows it, or choose another filter (`--security-opt seccomp=FILE`); in a \
         unit, see SystemCallFilter= (the set @debug has perf_event_open)."
    );
    (text, true)
}

fn selinux_err(operation: &str) -> String {
    let what = match operation {
        "security_bounded_transition" => {
            "at an exec under no_new_privs or on a nosuid mount, SELinux refused to change the \
             domain: the program ran in its old domain, or the exec failed"
        }
        "security_compute_sid" | "security_validate_transition" => {
            "a context that a transition would lead to is not valid in the policy"
        }
        _ => "SELinux refused an operation on contexts",
    };
    format!(
        "SELINUX_ERR, op={operation}: {what}. This is not a refusal of perf; no allow rule for \
         perf_event changes it. It matters if the program gets its rights from the new domain."
    )
}

fn mode(enforcing: bool) -> &'static str {
    if enforcing {
        "the mode of SELinux was set to enforcing: from here on, what was only logged is refused"
    } else {
        "the mode of SELinux was set to permissive: from here on, denials are logged once and let \
         through"
    }
}

/// Explains all messages about lost ones.
fn lost(out: &mut Text, log: &Log) -> usize {
    let mut said = Vec::new();
    let mut lines = 0;
    for (notice, count) in &log.notices {
        if let Notice::Lost(what) = notice {
            said.push(what.as_str());
            lines += count;
        }
    }
    if said.is_empty() {
        return 0;
    }
    said.truncate(3);
    let text = format!(
        "messages were lost ({}): this is no refusal, but a record that is missing from this log \
         proves nothing. Raise audit_backlog_limit (`auditctl -b 8192`), or \
         kernel.printk_ratelimit for the kernel log, and try again.",
        said.join("; ")
    );
    paragraph(out, 0, &text);
    out.end();
    lines
}

fn decision(summary: &DecisionSummary) -> String {
    let program = summary.program.as_deref().unwrap_or("a program");
    let when = summary.when.as_deref().map_or(String::new(), |when| format!(" at {when}"));
    let ended = match summary.succeeded {
        Some(true) => {
            "The call succeeded: it was let through in permissive mode, or what was denied was not \
             needed."
        }
        Some(false) => "The call failed.",
        None => "The report does not say how the call ended.",
    };
    let record = summary.serial.as_deref().map_or_else(
        || "`ausearch -m AVC -i`".to_owned(),
        |serial| format!("`ausearch -a {serial} -i`"),
    );
    let file = program.rsplit('/').next().unwrap_or(program);
    let what = if file.starts_with("perf") { "of what" } else { "if it was for perf" };
    format!(
        "SELinux decided about an access of {program}{when}. {ended} This report does not say \
         {what}, because it has no class, permissions or contexts: {record} shows the record."
    )
}

fn lone_call(comm: Option<&str>, call: &AuditedCall, count: usize) -> String {
    let comm = comm.unwrap_or("a program");
    let times = if count > 1 { format!(" ({})", counted(count, "call")) } else { String::new() };
    let without = "without an AVC record";
    let why = match call.outcome {
        CallOutcome::Success => "no refusal".to_owned(),
        CallOutcome::Error(number) => match (cause(Errno(number)), Errno(number)) {
            (Some(cause), errno) if call.name == "perf_event_open" => format!(
                "{cause}. No check of perf's gives {errno}, so no capability and no SELinux rule \
                 changes that"
            ),
            (_, Errno::EACCES | Errno::EPERM) => {
                "SELinux logged no denial, so a capability that the process does not hold is the \
                 first suspect (kernel.perf_event_paranoid, `getcap FILE`); a dontaudit rule could \
                 hide a denial (`semodule -DB`)"
                    .to_owned()
            }
            _ => "this is no refusal".to_owned(),
        },
        CallOutcome::Failure | CallOutcome::Unknown => {
            "the record does not say with which error".to_owned()
        }
    };
    format!("{comm}: {call} {without}{times}: {why}")
}
