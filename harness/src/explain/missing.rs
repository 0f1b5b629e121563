//! Explains why a log lacks a record that one would expect.

use std::collections::BTreeSet;

use crate::audit::{CallOutcome, Denial, RecordGroup, SysAdminReason};

/// The reasons why records are missing, each with a way to check. The founding thread met the last
/// three.
pub(super) const REASONS: [&str; 4] = [
    ALLOWED,
    "the policy does not define the permission, and undefined permissions are allowed \
     (`dmesg | grep 'not defined in policy'`)",
    "a dontaudit rule hides the record (`semodule -DB` disables these rules, `semodule -B` \
     enables them again)",
    NEVER_EFFECTIVE,
];

/// The plainest reason: nothing was denied.
const ALLOWED: &str = "the policy already allows the domain CAP_PERFMON or CAP_SYS_ADMIN, and an \
     allowed permission leaves no record (`sesearch -A -s DOMAIN -c capability2,capability`); or \
     kernel.perf_event_paranoid is so low that no capability was asked for";

/// The reason that applies to a capability that the process does not hold.
pub(super) const NEVER_EFFECTIVE: &str = "the capability was never in the process's effective \
     set, so the kernel never asked SELinux \
     (`grep CapEff /proc/PID/status`, `getcap FILE`; nosuid and no_new_privs drop file \
     capabilities silently)";

/// The notes on records that are missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MissingRecords {
    /// Each names a record that is missing and explains it.
    pub(super) notes: Vec<String>,
    /// The reasons that belong after the note that ends with a colon.
    pub(super) reasons: &'static [&'static str],
}

/// Finds the records that those of one program in one domain let one expect.
pub(super) fn missing_records(groups: &[&RecordGroup]) -> MissingRecords {
    let any = |test: &dyn Fn(&Denial) -> bool| {
        groups.iter().any(|group| !group.denial.granted && test(&group.denial))
    };
    let opens = |denial: &Denial| {
        let steps = ["open", "cpu", "kernel", "tracepoint"];
        denial.class == "perf_event" && steps.iter().any(|name| denial.permissions.contains(*name))
    };
    let perfmon = any(&|denial| denial.has_capability("perfmon"));
    let sys_admin = any(&|denial| denial.has_capability("sys_admin"));
    let mut missing = MissingRecords::default();
    let ended = groups
        .iter()
        .filter(|group| opens(&group.denial) && group.denial.refused() && !succeeded(group));
    let ended: Vec<_> = ended.collect();
    if !ended.is_empty() {
        let sure = ended.iter().any(|group| group.denial.permissive == Some(false));
        let ends = if sure {
            "The call ended here."
        } else {
            "If this was enforced, the call ended here."
        };
        missing.notes.push(format!(
            "{ends} Later checks of perf_event_open() ({{ open }}, then CAP_PERFMON and \
             {{ kernel }}, {{ tracepoint }}, {{ cpu }}) leave records only once this is allowed.",
        ));
    } else if any(&|denial| {
        denial.class == "perf_event"
            && denial.permissions.contains("open")
            && denial.permissive == Some(true)
    }) {
        missing
            .notes
            .push("In enforcing mode the first of these, { open }, would end the call.".to_owned());
    }
    let both = any(&|denial| denial.sys_admin_reason == SysAdminReason::AfterPerfmon);
    if perfmon && sys_admin && both {
        missing.notes.push(
            "Both CAP_PERFMON and CAP_SYS_ADMIN were denied: the kernel asks for CAP_SYS_ADMIN \
             only because CAP_PERFMON was refused. Allow CAP_PERFMON alone, as perf-security.rst \
             recommends."
                .to_owned(),
        );
    }
    if !sys_admin {
        for capability in ["perfmon", "bpf"] {
            missing.notes.extend(without_fallback(groups, capability));
        }
    }
    match (perfmon, sys_admin) {
        (false, true) => {
            missing.notes.push(
                "No record of perfmon, though perfmon_capable() asks for CAP_PERFMON before \
                 CAP_SYS_ADMIN (uprobes, breakpoints in the kernel and Debian's level 3 ask for \
                 CAP_SYS_ADMIN alone). There are three possible reasons:"
                    .to_owned(),
            );
            missing.reasons = &REASONS[1..];
        }
        (false, false) if any(&|denial| opens(denial) && !denial.refused()) => {
            missing.notes.push(
                "No record of perfmon or sys_admin. There are four possible reasons, the plainest \
                 first:"
                    .to_owned(),
            );
            missing.reasons = &REASONS;
        }
        _ => {}
    }
    if !perfmon && !sys_admin && !missing.reasons.is_empty() {
        missing.notes.push(
            "(In permissive mode CAP_SYS_ADMIN is rarely logged even if it was used: every mmap() \
             checks it without auditing, and the AVC caches the answer.)"
                .to_owned(),
        );
    }
    missing
}

/// True if all known calls of a group succeeded.
pub(super) fn succeeded(group: &RecordGroup) -> bool {
    !group.calls.is_empty() && group.calls.iter().all(|call| call.outcome == CallOutcome::Success)
}

/// Explains a refusal of a capability that CAP_SYS_ADMIN can replace, without a record of that.
fn without_fallback(groups: &[&RecordGroup], capability: &str) -> Option<String> {
    let refused =
        |group: &&&RecordGroup| group.denial.refused() && group.denial.has_capability(capability);
    let refused: Vec<_> = groups.iter().filter(refused).collect();
    if refused.is_empty() {
        return None;
    }
    let calls = || refused.iter().flat_map(|group| &group.calls);
    let unsaid = refused.iter().any(|group| {
        group.calls.is_empty() || group.calls.iter().all(|it| it.outcome == CallOutcome::Unknown)
    });
    let done = calls().any(|call| call.outcome == CallOutcome::Success);
    let failed: BTreeSet<_> = calls()
        .filter(|call| matches!(call.outcome, CallOutcome::Error(_) | CallOutcome::Failure))
        .map(ToString::to_string)
        .collect();
    let name = format!("CAP_{}", capability.to_uppercase());
    let mut text = String::new();
    if !failed.is_empty() {
        let failed = failed.into_iter().collect::<Vec<_>>().join(", ");
        text.push_str(&format!(
            "No record of sys_admin: the kernel asked for CAP_SYS_ADMIN after {name} was refused, \
             but the process does not hold it, or a dontaudit rule hides the record ({failed}). "
        ));
    }
    if done {
        // The effects name the calls that succeeded.
        return Some(text.trim_end().to_owned()).filter(|text| !text.is_empty());
    }
    if unsaid {
        text.push_str(&format!(
            "No record of sys_admin, for which the kernel asks after {name}, and no SYSCALL record \
             that shows how the call ended. There are two readings. Either the process does not \
             hold CAP_SYS_ADMIN, or a dontaudit rule hides its denial: then what needs {name} was \
             refused. Or the process holds it and the policy allows it, which leaves no record: \
             then the call went on, and nothing is broken. `success=` in the event's SYSCALL \
             record decides (`ausearch -m AVC -i`; kernels up to 5.10 write it only while an audit \
             rule is loaded)."
        ));
    }
    let events = groups.iter().any(|group| group.denial.class == "perf_event");
    if unsaid && capability == "perfmon" && !events {
        text.push_str(
            " Kernels from about 6.15 on ask for CAP_PERFMON also when a process opens \
             /proc/PID/environ, maps or the like of another user (mm_access()), so tools such as \
             ps leave this record.",
        );
    }
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::audit::Log;

    fn groups(records: &[(&str, &str, u8)]) -> Vec<RecordGroup> {
        let lines: Vec<_> = records
            .iter()
            .map(|(permission, class, permissive)| {
                format!(
                    "avc:  denied  {{ {permission} }} for  pid=1 comm=\"perf\" scontext=u:r:a_t \
                     tcontext=u:r:a_t tclass={class} permissive={permissive}\n"
                )
            })
            .collect();
        Log::read(lines.concat().as_bytes()).unwrap().groups
    }

    #[rstest]
    #[case::refused_at_open(&[("open", "perf_event", 0)], "The call ended", 0)]
    #[case::the_threads_first_log(
        &[("open", "perf_event", 1), ("cpu", "perf_event", 1)],
        "No record of perfmon or sys_admin",
        4
    )]
    #[case::both(
        &[("perfmon", "capability2", 0), ("sys_admin", "capability", 0)],
        "perf-security.rst",
        0
    )]
    #[case::in_the_other_order(
        &[
            ("sys_admin", "capability", 0),
            ("perfmon", "capability2", 0),
            ("open", "perf_event", 0),
        ],
        "The call ended",
        0
    )]
    #[case::sys_admin_alone(
        &[("sys_admin", "capability", 0)],
        "No record of perfmon, though",
        3
    )]
    #[case::perfmon_alone(&[("perfmon", "capability2", 0)], "There are two readings", 0)]
    #[case::bpf_alone(&[("bpf", "capability2", 0)], "There are two readings", 0)]
    #[case::let_through(&[("open", "perf_event", 1)], "would end the call", 4)]
    fn missing_records_follow_from_those_in_the_log(
        #[case] records: &[(&str, &str, u8)],
        #[case] begins: &str,
        #[case] reasons: usize,
    ) {
        let groups = groups(records);
        let missing = missing_records(&groups.iter().collect::<Vec<_>>());
        assert!(missing.notes.iter().any(|note| note.contains(begins)), "{missing:?}");
        assert_eq!(missing.reasons.len(), reasons);
    }

    #[rstest]
    #[case::fallback(&[("perfmon", "capability2", 0), ("sys_admin", "capability", 0)], true)]
    #[case::on_its_own_first(
        &[("sys_admin", "capability", 0), ("perfmon", "capability2", 0)],
        false
    )]
    #[case::let_through(&[("perfmon", "capability2", 1), ("sys_admin", "capability", 1)], false)]
    fn sys_admin_is_the_fallback_only_after_perfmon_was_refused(
        #[case] records: &[(&str, &str, u8)],
        #[case] fallback: bool,
    ) {
        let groups = groups(records);
        let missing = missing_records(&groups.iter().collect::<Vec<_>>());
        let noted = missing.notes.iter().any(|note| note.contains("only because CAP_PERFMON"));
        assert_eq!(noted, fallback, "{missing:?}");
    }

    #[test]
    fn a_complete_log_lacks_only_what_enforcing_would_end() {
        let records = groups(&[("open", "perf_event", 1), ("perfmon", "capability2", 1)]);
        let missing = missing_records(&records.iter().collect::<Vec<_>>());
        assert_eq!(missing.notes.len(), 1, "{missing:?}");
        let records = groups(&[("read", "perf_event", 0), ("write", "perf_event", 0)]);
        let missing = missing_records(&records.iter().collect::<Vec<_>>());
        assert_eq!(missing, MissingRecords::default());
    }
}
