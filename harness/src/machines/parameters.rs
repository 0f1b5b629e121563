//! Kernel parameters that do not depend on the machine.

use perfsec_wire::BootMode;

/// Kernel parameters that every lane needs.
const PARAMETERS: [&str; 1] = [
    // The default of 64 overflows before the agent can raise it.
    "audit_backlog_limit=8192",
];

/// Kernel parameters of a guest system.
const SYSTEM: [&str; 2] = [
    // Only about units that fail or take long: each byte on the console costs an emulated CPU time.
    "systemd.show_status=auto",
    "systemd.log_level=warning",
];

/// The kernel parameters of a boot mode.
fn of_mode(boot: BootMode) -> &'static [&'static str] {
    // Debian builds several security modules, and AppArmor is the default. The agent sets the mode
    // of each cell; an enforcing boot could lock it out. Without `audit=1` the agent itself has no
    // audit context, so its syscalls write no SYSCALL records: a seventh of the guest's
    // instructions in a cell. The subjects have one, because the agent enables audit first.
    match boot {
        BootMode::Selinux | BootMode::NoPolicy | BootMode::AuditUnset => {
            &["security=selinux", "selinux=1", "enforcing=0"]
        }
        BootMode::NoSelinux => &["security=apparmor", "selinux=0"],
        BootMode::NoFileCaps => &["security=selinux", "selinux=1", "enforcing=0", "no_file_caps"],
        BootMode::NoAudit => &["security=selinux", "selinux=1", "enforcing=0", "audit=0"],
    }
}

/// The kernel parameters of a lane in this boot mode.
pub(super) fn of_lane(boot: BootMode) -> impl Iterator<Item = String> {
    of_mode(boot).iter().chain(&PARAMETERS).map(|parameter| (*parameter).to_owned())
}

/// The kernel parameters of a guest system, besides those of its lane.
pub(super) fn of_system() -> impl Iterator<Item = String> {
    SYSTEM.iter().map(|parameter| (*parameter).to_owned())
}
