//! Tells from the errno of a call which causes it excludes.

use crate::audit::{AuditedCall, RecordGroup};
use crate::errno::Errno;

/// The errors of `perf_event_open()` that are no refusal, with their cause
/// (`kernel/events/core.c`).
const NO_REFUSAL: [(&str, &str); 12] = [
    (
        "ENOENT",
        "the machine has no such event, because no PMU takes its type or configuration (a virtual \
         machine without counters, a driver that is not loaded)",
    ),
    ("EINVAL", "an attribute or flag is invalid, or this kernel does not know it"),
    ("EOPNOTSUPP", "the PMU cannot do this, such as sample or record branches"),
    ("ENODEV", "the PMU lacks the feature, or the CPU is offline"),
    ("ENXIO", "the CPU does not exist"),
    ("ESRCH", "there is no process with this id"),
    ("EBADF", "the group's or the cgroup's descriptor is not valid"),
    ("EBUSY", "another event has the PMU for itself"),
    ("EMFILE", "the process has too many open descriptors"),
    ("ENOSPC", "there are too many breakpoints, or no counter is left"),
    ("E2BIG", "the attributes are larger than this kernel knows"),
    ("ENOSYS", "the kernel is built without perf events, or a filter answers so"),
];

/// The cause of an error of `perf_event_open()` that is no refusal.
pub(super) fn cause(errno: Errno) -> Option<&'static str> {
    let name = errno.to_string();
    NO_REFUSAL.iter().find(|(known, _)| *known == name).map(|(_, cause)| *cause)
}

/// The reason why the records of a call do not explain its error. Returns `None` if they may.
pub(super) fn excluded(call: &AuditedCall, groups: &[&RecordGroup]) -> Option<String> {
    let errno = call.errno()?;
    let of_call: Vec<_> = groups.iter().filter(|group| group.calls.contains(call)).collect();
    let refused: Vec<_> = of_call
        .iter()
        .filter(|group| !group.denial.granted && group.denial.permissive == Some(false))
        .collect();
    let through = of_call.iter().all(|group| group.denial.permissive == Some(true));
    let capability = refused.iter().any(|group| group.denial.class.starts_with("capability"));
    if call.name == "perf_event_open" {
        if let Some(cause) = cause(errno) {
            return Some(format!(
                "{call}: {cause}. No check of perf's gives {errno}, so SELinux is not the reason, \
                 and no rule or capability changes that."
            ));
        }
        if errno == Errno::EPERM && !capability {
            return Some(format!(
                "{call}: SELinux's hooks answer EACCES, so EPERM is not theirs. It comes from raw \
                 data of tracepoints without CAP_PERFMON above level -1, a breakpoint in the \
                 kernel without CAP_SYS_ADMIN, or lockdown."
            ));
        }
    }
    if !through {
        return None;
    }
    Some(match errno {
        Errno::EACCES | Errno::EPERM => format!(
            "{call}, though SELinux let it through (permissive=1): another check refused it, such \
             as kernel.perf_event_paranoid with a capability that the process does not hold, which \
             leaves no record."
        ),
        _ => format!(
            "{call}, though SELinux let it through (permissive=1): SELinux is not the reason."
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_name_of_errno() {
        for (name, _) in NO_REFUSAL {
            let errno: Errno = name.parse().unwrap();
            assert!(cause(errno).is_some() && !errno.is_denial());
        }
        assert_eq!((cause(Errno::EACCES), cause(Errno::EPERM)), (None, None));
    }
}
