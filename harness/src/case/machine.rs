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
    /// The CPUs' PMU records branch stacks (LBR).
    BranchStacks,
    /// The CPUs' PMU takes `precise_ip` itself (PEBS). AMD's passes such events to IBS.
    PreciseEvents,
    /// The PMU `power` counts the energy that a package uses (RAPL). It belongs to no CPU.
    Rapl,
    /// The PMU `intel_bts` writes branches to an AUX area.
    IntelBts,
    /// The PMU `intel_pt` writes a trace to an AUX area.
    IntelPt,
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
            Self::BranchStacks => machine.cpu_pmu_cap("branches").map(|entries| entries > 0),
            Self::PreciseEvents => machine.cpu_pmu_cap("max_precise").map(|level| level > 0),
            Self::Rapl => machine.has_pmu("power"),
            Self::IntelBts => machine.has_pmu("intel_bts"),
            Self::IntelPt => machine.has_pmu("intel_pt"),
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
            Self::BranchStacks => "a PMU that records branch stacks",
            Self::PreciseEvents => "a PMU that samples precisely",
            Self::Rapl => "the PMU power",
            Self::IntelBts => "the PMU intel_bts",
            Self::IntelPt => "the PMU intel_pt",
        }
    }
}
