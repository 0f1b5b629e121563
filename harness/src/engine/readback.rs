//! Compares what the agent read back with what was asked for. Check, don't hope.

use perfsec_wire::message::Refusal;
use perfsec_wire::{BootMode, Facts};

use crate::errno::Errno;
use crate::kernel::{Kernel, KernelVersion};

/// Permissions that the cases need, by class: a policy that lacks one hides denials.
const NEEDED: [(&str, &[&str]); 2] = [
    ("perf_event", &["open", "cpu", "kernel", "tracepoint", "read", "write"]),
    ("capability2", &["perfmon"]),
];

/// The difference between the kernel that was to be booted and the one that runs, in the guest's
/// own words. perfsec or its cache is wrong about the kernel, which is not to blame.
pub(super) fn other_kernel(kernel: &Kernel, facts: &Facts) -> Option<String> {
    let differ = |running: &str, believed: &str| {
        format!("the running kernel is `{running}`, but the image was taken for `{believed}`")
    };
    if facts.release != kernel.release {
        return Some(differ(&facts.release, &kernel.release));
    }
    if facts.version != kernel.banner {
        return Some(differ(&facts.version, &kernel.banner));
    }
    let running = KernelVersion::from_banner(&facts.release, &facts.version);
    let running = running.ok().filter(|running| *running != kernel.version)?;
    Some(differ(&running.to_string(), &kernel.version.to_string()))
}

/// The first difference between the lane that was asked for and the one that came up. A policy that
/// is `ours` must define all permissions that the cases need.
pub(super) fn difference(boot: BootMode, ours: bool, facts: &Facts) -> Option<String> {
    if boot.has_policy()
        && let Some(difference) = policy_difference(ours, facts)
    {
        return Some(difference);
    }
    if boot.enables_audit() && facts.audit.enabled == 0 {
        return Some("audit is off".to_owned());
    }
    if facts.audit.rate_limit != 0 {
        return Some(format!("audit drops records beyond {} per second", facts.audit.rate_limit));
    }
    None
}

fn policy_difference(ours: bool, facts: &Facts) -> Option<String> {
    for (class, permissions) in NEEDED.into_iter().filter(|_| ours) {
        let Some((_, defined)) = facts.selinux.classes.iter().find(|(name, _)| name == class)
        else {
            return Some(format!("the loaded policy does not define the class {class}"));
        };
        if let Some(permission) =
            permissions.iter().find(|name| !defined.iter().any(|d| d == *name))
        {
            return Some(format!("the loaded policy does not define {class} {{ {permission} }}"));
        }
    }
    let defines = |class: &str| facts.selinux.classes.iter().any(|(name, _)| name == class);
    if facts.selinux.deny_unknown && !defines("security") {
        return Some(
            "the loaded policy denies classes it does not define (handleunknown deny) and does \
             not define the class security, so the agent could not switch the mode back"
                .to_owned(),
        );
    }
    if facts.selinux.enforcing {
        return Some("SELinux is enforcing before the first cell".to_owned());
    }
    None
}

/// Formats a refusal: what the kernel lacks and what to do about it.
#[must_use]
pub fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSelinux { lsm } => {
            let active = match lsm.as_str() {
                "" => String::new(),
                list => format!(" (its security modules are {list})"),
            };
            format!(
                "the kernel has no SELinux, or it is turned off{active}: \
                 it needs CONFIG_SECURITY_SELINUX=y and no selinux=0 on the command line"
            )
        }
        Refusal::NoAudit { detail } => format!(
            "the kernel has no audit, or it is turned off ({detail}): \
             it needs CONFIG_AUDIT=y, CONFIG_AUDITSYSCALL=y and no audit=0 on the command line"
        ),
        Refusal::NoPerf => {
            "the kernel has no perf events: it needs CONFIG_PERF_EVENTS=y".to_owned()
        }
        Refusal::PolicyRejected { errno, messages } => {
            let said = match messages.as_slice() {
                [] => String::new(),
                lines => format!("; it logs: {}", lines.join("; ")),
            };
            format!("the kernel does not load the policy: {}{said}", Errno(*errno))
        }
        Refusal::Setup { doing, errno: 0 } => format!("the agent could not {doing}"),
        Refusal::Setup { doing, errno } => {
            format!("the agent could not {doing}: {}", Errno(*errno))
        }
    }
}
