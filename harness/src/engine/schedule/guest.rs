//! The state that earlier cells left in a guest.

use perfsec_wire::Lockdown;

/// The state of a guest that decides which cells it can still run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct GuestState {
    /// It was restored from a snapshot.
    pub(in crate::engine) restored: bool,
    /// A guest's lockdown cannot be lowered for a later cell.
    pub(super) lockdown: Lockdown,
    /// The block of contexts that its cells use; `None` before the first.
    pub(super) block: Option<usize>,
    /// A cell changed it for good.
    pub(super) spent: bool,
}
