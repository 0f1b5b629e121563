//! The load of a boot: its input besides the kernel.

use perfsec_wire::{BootMode, Job, Lane, PROTOCOL};

use crate::policy::Policies;

/// The agent's orders and the policies it may load.
#[derive(Clone, Debug)]
pub struct Load {
    /// The agent's orders.
    pub lane: Lane,
    /// Binary policies by their file names in the guest.
    pub policies: Vec<(String, Vec<u8>)>,
}

impl Load {
    /// The load of a boot in this mode that does `job`.
    #[must_use]
    pub fn new(mode: BootMode, policies: &Policies, job: Job) -> Self {
        let (policy, binaries) = if mode.has_policy() {
            let binaries = policies.iter().map(|own| (own.file_name(), own.binary.clone()));
            (Some(policies.own.file_name()), binaries.collect())
        } else {
            (None, Vec::new())
        };
        let lane = Lane {
            protocol: PROTOCOL,
            boot: mode,
            policy,
            job,
            coverage: None,
            kernel_config: false,
        };
        Self { lane, policies: binaries }
    }
}
