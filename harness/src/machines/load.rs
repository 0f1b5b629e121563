//! The load of a boot: its input besides the kernel.

use perfsec_wire::{BootMode, Lane, PROTOCOL};

use crate::policy::Policies;

/// The agent's lane and the policies that it may load.
#[derive(Clone, Debug)]
pub struct Load {
    /// How the agent sets the guest up.
    pub lane: Lane,
    /// Binary policies by their file names in the guest.
    pub policies: Vec<(String, Vec<u8>)>,
}

impl Load {
    /// The load of a boot in this mode.
    #[must_use]
    pub fn new(mode: BootMode, policies: &Policies) -> Self {
        let (policy, binaries) = if mode.has_policy() {
            let binaries = policies.iter().map(|own| (own.file_name(), own.binary.clone()));
            (Some(policies.own.file_name()), binaries.collect())
        } else {
            (None, Vec::new())
        };
        let lane = Lane { protocol: PROTOCOL, boot: mode, policy, coverage: None };
        Self { lane, policies: binaries }
    }
}
