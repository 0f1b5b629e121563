//! Explains denials that changed nothing: the system call succeeded all the same.

use std::collections::BTreeSet;

use crate::audit::{AuditedCall, CallOutcome, CallPurpose, RecordGroup};

use super::super::missing::succeeded;
use super::lockdown;

/// True if a refusal broke nothing, so that no rule is needed: the call succeeded, or the kernel
/// ignored the answer.
pub(super) fn is_harmless(group: &RecordGroup) -> bool {
    let denied = !group.denial.granted && group.denial.permissive == Some(false);
    denied && succeeded(group) || lockdown::is_ignored(&group.denial)
}

/// The notes on capabilities that were refused in calls that succeeded.
pub(super) fn made_good(groups: &[&RecordGroup], domain: &str) -> Vec<String> {
    ["bpf", "perfmon"].iter().filter_map(|name| capability(groups, name, domain)).collect()
}

fn capability(groups: &[&RecordGroup], name: &str, domain: &str) -> Option<String> {
    let denied = |group: &&&RecordGroup| {
        !group.denial.granted
            && group.denial.permissive != Some(true)
            && group.denial.has_capability(name)
    };
    let denied: Vec<_> = groups.iter().filter(denied).collect();
    let done: BTreeSet<&AuditedCall> = denied
        .iter()
        .flat_map(|group| &group.calls)
        .filter(|call| call.outcome == CallOutcome::Success)
        .collect();
    if done.is_empty() {
        return None;
    }
    let cap = format!("CAP_{}", name.to_uppercase());
    let calls: BTreeSet<_> = done.iter().map(|call| call.full_name()).collect();
    let calls = calls.into_iter().collect::<Vec<_>>().join(", ");
    let mut text = format!("{calls} succeeded although SELinux refused {cap}. ");
    let admin = groups.iter().any(|group| {
        !group.denial.granted && group.denial.refused() && group.denial.has_capability("sys_admin")
    });
    if admin {
        text.push_str(
            "CAP_SYS_ADMIN was refused too, so nothing that the call needed depended on either.",
        );
        return Some(text);
    }
    let granted = format!(
        "The kernel then asked for CAP_SYS_ADMIN, which was granted: the process holds it (as root \
         does), the policy allows it to {domain}, and an allowed permission leaves no record."
    );
    let paths: BTreeSet<_> = denied.iter().flat_map(|group| &group.paths).collect();
    let loads = done.iter().any(|call| call.bpf_command() == Some("BPF_PROG_LOAD"));
    let own = done.iter().all(|call| call.purpose == CallPurpose::OwnProcess);
    text.push_str(&granted);
    if name == "perfmon" && loads {
        text.push_str(
            " Of a program that is not for tracing, the verifier only asks whether it may relax \
             its rules: CAP_PERFMON is not needed for such a program to load.",
        );
    } else if name == "perfmon" && own {
        text.push_str(
            " Or nothing depended on it: an event on the process itself needs no capability, and \
             the kernel asks all the same.",
        );
    } else if !paths.is_empty() {
        let paths: Vec<_> = paths.iter().map(|path| path.as_str()).collect();
        text.push_str(&format!(
            " The file is {}: mm_access() asks for CAP_PERFMON on kernels from about 6.15 on, \
             before CAP_SYS_ADMIN.",
            paths.join(", ")
        ));
    }
    Some(text)
}
