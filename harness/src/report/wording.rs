//! Wording that several reports share.

use perfsec_wire::Boot;

use crate::counted::{counted, inflected};
use crate::record::LaneStarted;

/// The boot mode of a lane, with its policy.
pub(super) fn boot_description(lane: &LaneStarted) -> String {
    match lane.boot {
        Boot::Selinux => format!("policy {}", lane.policy),
        Boot::NoPolicy => "no policy loaded".to_owned(),
        Boot::NoSelinux => "without SELinux".to_owned(),
        Boot::NoAudit => format!("policy {}, audit=0", lane.policy),
        Boot::AuditUnset => format!("policy {}, audit never enabled", lane.policy),
        Boot::AuditLate => format!("policy {}, audit enabled late", lane.policy),
        Boot::NoFileCaps => format!("policy {}, no_file_caps", lane.policy),
    }
}

/// `1 cell has no result`, `2 cells have no result`.
pub(super) fn without_result(count: usize) -> String {
    format!("{} {} no result", counted(count, "cell"), inflected(count, "has", "have"))
}
