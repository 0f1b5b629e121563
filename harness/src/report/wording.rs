//! Wording that several reports share.

use perfsec_wire::BootMode;

use crate::counted::{counted, inflected};
use crate::record::{LaneRun, LaneStarted};

/// The boot mode of a lane, with its policy.
pub(super) fn boot_description(lane: &LaneStarted) -> String {
    match lane.boot {
        BootMode::Selinux => format!("policy {}", lane.policy_text()),
        BootMode::NoPolicy => "no policy loaded".to_owned(),
        BootMode::NoSelinux => "without SELinux".to_owned(),
        BootMode::NoAudit => format!("policy {}, audit=0", lane.policy_text()),
        BootMode::AuditUnset => format!("policy {}, audit never enabled", lane.policy_text()),
        BootMode::NoFileCaps => format!("policy {}, no_file_caps", lane.policy_text()),
    }
}

/// The guests of a lane: `2 boots`, or `3 guests, 2 restored from a snapshot`; `None` if the lane
/// did not end.
pub(super) fn guests(lane: &LaneRun) -> Option<String> {
    Some(boots(lane.end.as_ref()?.boots, lane.restored()))
}

/// `2 boots`, or `3 guests, 2 restored from a snapshot`.
pub(super) fn boots(boots: usize, restored: usize) -> String {
    match restored {
        0 => counted(boots, "boot"),
        _ => format!("{}, {restored} restored from a snapshot", counted(boots, "guest")),
    }
}

/// `1 cell has no result`, `2 cells have no result`.
pub(super) fn without_result(count: usize) -> String {
    format!("{} {} no result", counted(count, "cell"), inflected(count, "has", "have"))
}
