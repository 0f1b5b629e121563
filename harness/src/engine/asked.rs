//! Whether a lane is what was asked for. Check, don't hope.

use perfsec_wire::message::Refusal;
use perfsec_wire::{BootMode, Facts};

use crate::errno::Errno;
use crate::kernel::Kernel;

/// The permissions that every case's policy must define, by class.
const NEEDED: [(&str, &[&str]); 2] = [
    ("perf_event", &["open", "cpu", "kernel", "tracepoint", "read", "write"]),
    ("capability2", &["perfmon"]),
];

/// The first difference between what was asked and what was read back.
pub(super) fn difference(kernel: &Kernel, boot: BootMode, facts: &Facts) -> Option<String> {
    if facts.release != kernel.release {
        return Some(format!(
            "the kernel calls itself {}, but its image {}",
            facts.release, kernel.release
        ));
    }
    if boot.has_policy()
        && let Some(difference) = policy_difference(facts)
    {
        return Some(difference);
    }
    if boot.enables_audit() && facts.audit.enabled == 0 {
        return Some("audit is off".to_owned());
    }
    if facts.audit.rate_limit != 0 {
        return Some(format!("audit drops records beyond {} a second", facts.audit.rate_limit));
    }
    None
}

fn policy_difference(facts: &Facts) -> Option<String> {
    for (class, permissions) in NEEDED {
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
            "the loaded policy denies what it does not define (handleunknown deny), and does not \
             define the class security, so the agent could not switch the mode back"
                .to_owned(),
        );
    }
    if facts.selinux.enforcing {
        return Some("SELinux is enforcing before the first cell".to_owned());
    }
    None
}

/// A refusal in words: what the kernel lacks and what to do.
#[must_use]
pub fn words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoSelinux { lsm } => {
            let active = match lsm.as_str() {
                "" => String::new(),
                list => format!(" (its security modules are {list})"),
            };
            format!(
                "the kernel has no SELinux, or it is turned off{active}: \
                 it needs CONFIG_SECURITY_SELINUX=y and a command line that does not say selinux=0"
            )
        }
        Refusal::NoAudit { detail } => format!(
            "the kernel has no audit, or it is turned off ({detail}): \
             it needs CONFIG_AUDIT=y, CONFIG_AUDITSYSCALL=y and a command line that does not say audit=0"
        ),
        Refusal::NoPerf => {
            "the kernel has no perf events: it needs CONFIG_PERF_EVENTS=y".to_owned()
        }
        Refusal::PolicyRejected { errno, messages } => {
            let said = match messages.as_slice() {
                [] => String::new(),
                lines => format!("; it said: {}", lines.join("; ")),
            };
            format!("the kernel does not load the policy: {}{said}", Errno(*errno))
        }
        Refusal::Setup { doing, errno: 0 } => format!("the agent could not {doing}"),
        Refusal::Setup { doing, errno } => {
            format!("the agent could not {doing}: {}", Errno(*errno))
        }
    }
}
