//! The load of a guest: its input besides the kernel.

use perfsec_wire::{BootMode, Lane, LanePolicy, PROTOCOL, Preparation};

use crate::policy::Policies;

/// How a guest is prepared, the lane that it joins, and the policies that it may load.
#[derive(Clone, Debug)]
pub struct Load {
    /// How the agent prepares the guest.
    pub preparation: Preparation,
    /// The lane.
    pub lane: Lane,
    /// Binary policies by their file names in the guest. They are the same in every boot mode, so
    /// that a snapshot of one serves another with the same parameters.
    pub policies: Vec<(String, Vec<u8>)>,
}

impl Load {
    /// The load of a guest that is booted in this mode.
    #[must_use]
    pub fn new(boot: BootMode, policies: &Policies) -> Self {
        let binaries = policies.iter().map(|own| (own.file_name(), own.binary.clone()));
        let policy = boot.has_policy().then(|| LanePolicy::Load(policies.own.file_name()));
        Self {
            preparation: Preparation { protocol: PROTOCOL, coverage: None },
            lane: Lane { boot, policy },
            policies: binaries.collect(),
        }
    }

    /// The load of a guest system, which has loaded its policy by itself and loads no other than
    /// that with our domains in addition.
    #[must_use]
    pub fn of_system(boot: BootMode, policies: &Policies) -> Self {
        if policies.own.has_added_domains() {
            return Self::new(boot, policies);
        }
        let policy = boot.has_policy().then(|| LanePolicy::Loaded(policies.own.file_name()));
        let lane = Lane { boot, policy };
        Self { lane, policies: Vec::new(), ..Self::new(boot, policies) }
    }
}
