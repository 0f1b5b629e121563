//! Wording that several reports share.

use perfsec_wire::BootMode;

use crate::counted::{counted, inflected};
use crate::record::LaneStarted;

/// The boot mode of a lane, with its policy.
pub(super) fn boot_description(lane: &LaneStarted) -> String {
    match lane.boot {
        BootMode::Selinux => format!("policy {}", lane.policy),
        BootMode::NoPolicy => "no policy loaded".to_owned(),
        BootMode::NoSelinux => "without SELinux".to_owned(),
        BootMode::NoAudit => format!("policy {}, audit=0", lane.policy),
        BootMode::AuditUnset => format!("policy {}, audit never enabled", lane.policy),
        BootMode::AuditLate => format!("policy {}, audit enabled late", lane.policy),
        BootMode::NoFileCaps => format!("policy {}, no_file_caps", lane.policy),
    }
}

/// `1 cell has no result`, `2 cells have no result`.
pub(super) fn without_result(count: usize) -> String {
    format!("{} {} no result", counted(count, "cell"), inflected(count, "has", "have"))
}
