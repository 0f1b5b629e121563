//! Explains why a log lacks a record that one would expect.

use crate::audit::{Denial, RecordGroup, SysAdminReason};

/// The three reasons why the founding thread missed records, each with a way to check.
pub(super) const REASONS: [&str; 3] = [
    "the policy does not define the permission, and undefined permissions are allowed \
     (`dmesg | grep 'not defined in policy'`)",
    "a dontaudit rule hides the record (`semodule -DB` disables these rules, `semodule -B` \
     enables them again)",
    NEVER_EFFECTIVE,
];

/// The reason that applies to a capability that the process does not hold.
pub(super) const NEVER_EFFECTIVE: &str = "the capability was never in the process's effective \
     set, so the kernel never asked SELinux \
     (`grep CapEff /proc/PID/status`, `getcap FILE`; nosuid and no_new_privs drop file \
     capabilities silently)";

/// The notes on records that are missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MissingRecords {
    /// Each names a record that is missing and explains it.
    pub(super) notes: Vec<&'static str>,
    /// True if [`REASONS`] belong after the note that ends with a colon.
    pub(super) reasons: bool,
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
    if any(&|denial| opens(denial) && denial.refused()) {
        missing.notes.push(
            "The call ended here. Later checks of perf_event_open() ({ open }, then CAP_PERFMON and \
             { kernel }, { tracepoint }, { cpu }) leave records only once this is allowed.",
        );
    }
    match (perfmon, sys_admin) {
        (true, true) if any(&|denial| denial.sys_admin_reason == SysAdminReason::AfterPerfmon) => {
            missing.notes.push(
                "Both CAP_PERFMON and CAP_SYS_ADMIN were denied: the kernel asks for CAP_SYS_ADMIN \
             only because CAP_PERFMON was refused. Allow CAP_PERFMON alone, as perf-security.rst \
             recommends.",
            )
        }
        (true, false) if any(&|denial| denial.has_capability("perfmon") && denial.refused()) => {
            missing.notes.push(
                "No record of sys_admin: the kernel asked for CAP_SYS_ADMIN after CAP_PERFMON was \
                 refused, but the process does not hold it, or a dontaudit rule hides the record.",
            );
        }
        (true, _) => {}
        (false, true) => {
            missing.notes.push(
                "No record of perfmon, though perfmon_capable() asks for CAP_PERFMON before \
                 CAP_SYS_ADMIN (uprobes, breakpoints in the kernel and Debian's level 3 ask for \
                 CAP_SYS_ADMIN alone). There are three possible reasons:",
            );
            missing.reasons = true;
        }
        (false, false) if any(&|denial| opens(denial) && !denial.refused()) => {
            missing.notes.push(
                "No record of perfmon or sys_admin. That is fine if kernel.perf_event_paranoid is \
                 so low that no capability was needed. Otherwise there are three possible reasons:",
            );
            missing.reasons = true;
        }
        (false, false) => {}
    }
    if !perfmon && !sys_admin && missing.reasons {
        missing.notes.push(
            "(In permissive mode CAP_SYS_ADMIN is rarely logged even if it was used: every mmap() \
             checks it without auditing, and the AVC caches the answer.)",
        );
    }
    missing
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
    #[case::refused_at_open(&[("open", "perf_event", 0)], "The call ended", false)]
    #[case::the_threads_first_log(
        &[("open", "perf_event", 1), ("cpu", "perf_event", 1)],
        "No record of perfmon or sys_admin",
        true
    )]
    #[case::both(
        &[("perfmon", "capability2", 0), ("sys_admin", "capability", 0)],
        "perf-security.rst",
        false
    )]
    #[case::in_the_other_order(
        &[
            ("sys_admin", "capability", 0),
            ("perfmon", "capability2", 0),
            ("open", "perf_event", 0),
        ],
        "The call ended",
        false
    )]
    #[case::sys_admin_alone(
        &[("sys_admin", "capability", 0)],
        "No record of perfmon, though",
        true
    )]
    #[case::perfmon_alone(&[("perfmon", "capability2", 0)], "No record of sys_admin", false)]
    fn missing_records_follow_from_those_in_the_log(
        #[case] records: &[(&str, &str, u8)],
        #[case] begins: &str,
        #[case] reasons: bool,
    ) {
        let groups = groups(records);
        let missing = missing_records(&groups.iter().collect::<Vec<_>>());
        assert!(missing.notes.iter().any(|note| note.contains(begins)), "{missing:?}");
        assert_eq!(missing.reasons, reasons);
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

    #[rstest]
    #[case::all_there(&[("open", "perf_event", 1), ("perfmon", "capability2", 1)])]
    #[case::use_of_an_event(&[("read", "perf_event", 0), ("write", "perf_event", 0)])]
    fn a_complete_log_lacks_nothing(#[case] records: &[(&str, &str, u8)]) {
        let groups = groups(records);
        assert_eq!(missing_records(&groups.iter().collect::<Vec<_>>()), MissingRecords::default());
    }
}
