//! Properties of the machine that conditions can name.

use perfsec_wire::machine::{Hypervisor, MachineFacts};
use schemars::JsonSchema;
use serde::Deserialize;

/// A property of the machine that an expectation depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineProperty {
    /// The kernel mitigates CPU vulnerabilities. Without, `bpf_bypass_spec_v1()` and
    /// `bpf_bypass_spec_v4()` do not ask for CAP_PERFMON.
    Mitigations,
    /// A PMU counts hardware events.
    HardwareEvents,
    /// An emulator such as QEMU's TCG executes the kernel.
    Emulated,
    /// More than one CPU is online.
    Smp,
}

impl MachineProperty {
    /// True if the machine has the property, `None` if the kernel does not show it.
    #[must_use]
    pub fn of(self, machine: &MachineFacts) -> Option<bool> {
        match self {
            Self::Mitigations => machine.mitigations,
            Self::HardwareEvents => machine.hardware_events,
            Self::Emulated => machine.hypervisor.as_ref().map(|it| *it == Hypervisor::Emulator),
            Self::Smp => machine.cpus.map(|cpus| cpus > 1),
        }
    }

    /// The property as a noun phrase.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mitigations => "CPU mitigations",
            Self::HardwareEvents => "a PMU that counts hardware events",
            Self::Emulated => "an emulated CPU",
            Self::Smp => "more than one CPU",
        }
    }
}
