//! The machine that a kernel runs on, as far as the kernel shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lane::Lockdown;

/// Properties of the machine that results can depend on. `None` means unknown: the kernel does not
/// show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineFacts {
    /// Architecture, as in `uname -m`.
    #[serde(default)]
    pub arch: Option<String>,
    /// Model of the CPU, as the kernel names it: `model name` in `/proc/cpuinfo`.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Revision of the CPU's microcode, from the same file.
    #[serde(default)]
    pub microcode: Option<String>,
    /// The CPU on which the agent and the subjects stay, where there are several.
    #[serde(default)]
    pub pinned: Option<u32>,
    /// Number of online CPUs, from `/sys/devices/system/cpu/online`.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// Every PMU, from `/sys/bus/event_source/devices`, sorted: those of the CPUs
    /// ([`cpu_pmus`](Self::cpu_pmus)), of other hardware and of the kernel's own events.
    #[serde(default)]
    pub pmus: Option<Vec<String>>,
    /// Capabilities of the CPUs' PMU, of the first core type where there are several: name and
    /// content of the files in its directory `caps`, such as `branches` (entries of a branch
    /// stack) and `max_precise` (the largest `precise_ip`).
    #[serde(default)]
    pub cpu_pmu_caps: Vec<(String, String)>,
    /// True if the kernel opened a hardware event (`cpu-cycles` of the agent), false if it has no
    /// PMU for one.
    #[serde(default)]
    pub hardware_events: Option<bool>,
    /// False if the kernel runs without CPU mitigations, as with `mitigations=off` or without
    /// `CONFIG_CPU_MITIGATIONS`. Then `bpf_bypass_spec_v1()` and `bpf_bypass_spec_v4()` do not ask
    /// for CAP_PERFMON.
    #[serde(default)]
    pub mitigations: Option<bool>,
    /// Files of `/sys/devices/system/cpu/vulnerabilities` that concern BPF: name and content.
    #[serde(default)]
    pub vulnerabilities: Vec<(String, String)>,
    /// Driver of the watchdog that resets the machine if the agent no longer runs; `None` if none
    /// runs.
    #[serde(default)]
    pub watchdog: Option<String>,
    /// Lockdown after boot, before any cell.
    #[serde(default)]
    pub lockdown: Option<Lockdown>,
    /// Hypervisor, from CPUID.
    #[serde(default)]
    pub hypervisor: Option<Hypervisor>,
    /// True if the kernel shows its configuration in `/proc/config.gz`
    /// ([`Message::KernelConfig`](crate::Message::KernelConfig)).
    #[serde(default)]
    pub shows_config: bool,
}

/// The hypervisor that the CPU reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Hypervisor {
    /// None: a bare machine.
    None,
    /// QEMU emulates the CPU (TCG).
    Emulator,
    /// A hypervisor with this CPUID signature: `KVMKVMKVM`, `XenVMMXenVMM`.
    Signature(String),
}

impl MachineFacts {
    /// The PMUs of the CPUs: `cpu`, or `cpu_core` and `cpu_atom`. `None` means unknown; an empty
    /// list, that the CPUs have no PMU.
    #[must_use]
    pub fn cpu_pmus(&self) -> Option<Vec<&str>> {
        let is_cpu = |name: &&str| *name == "cpu" || name.starts_with("cpu_");
        Some(self.pmus.as_ref()?.iter().map(String::as_str).filter(is_cpu).collect())
    }

    /// True if there is a PMU of this name; `None` if the PMUs are unknown.
    #[must_use]
    pub fn has_pmu(&self, name: &str) -> Option<bool> {
        Some(self.pmus.as_ref()?.iter().any(|pmu| pmu == name))
    }

    /// A capability of the CPUs' PMU that is a number: 0 if it lacks the capability, or if there
    /// is no such PMU; `None` if the PMUs are unknown.
    #[must_use]
    pub fn cpu_pmu_cap(&self, name: &str) -> Option<u32> {
        self.pmus.as_ref()?;
        let found = self.cpu_pmu_caps.iter().find(|(known, _)| known == name);
        Some(found.and_then(|(_, content)| content.trim().parse().ok()).unwrap_or(0))
    }
}

impl Hypervisor {
    /// From the CPUID signature at leaf 0x4000_0000.
    #[must_use]
    pub fn from_signature(signature: &str) -> Self {
        match signature {
            "TCGTCGTCGTCG" => Self::Emulator,
            other => Self::Signature(other.to_owned()),
        }
    }
}

impl fmt::Display for Hypervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Emulator => f.pad("emulator"),
            Self::Signature(signature) => f.pad(signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pmus_of_cpus_are_cpu_pmus() {
        let machine = |names: &[&str]| MachineFacts {
            pmus: Some(names.iter().map(|name| (*name).to_owned()).collect()),
            ..MachineFacts::default()
        };
        let hybrid = machine(&["breakpoint", "cpu_atom", "cpu_core", "cstate_core", "software"]);
        assert_eq!(hybrid.cpu_pmus(), Some(vec!["cpu_atom", "cpu_core"]));
        assert_eq!(machine(&["software", "uncore_imc_0"]).cpu_pmus(), Some(vec![]));
        assert_eq!(MachineFacts::default().cpu_pmus(), None);
    }

    #[test]
    fn a_capability_that_the_pmu_lacks_is_0_and_unknown_without_a_list_of_pmus() {
        let caps = [("branches", "32"), ("pmu_name", "skylake")];
        let machine = MachineFacts {
            pmus: Some(vec!["cpu".to_owned()]),
            cpu_pmu_caps: caps.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
            ..MachineFacts::default()
        };
        assert_eq!(machine.cpu_pmu_cap("branches"), Some(32));
        assert_eq!(machine.cpu_pmu_cap("max_precise"), Some(0));
        assert_eq!(MachineFacts::default().cpu_pmu_cap("branches"), None);
        assert_eq!(machine.has_pmu("cpu"), Some(true));
        assert_eq!(machine.has_pmu("intel_pt"), Some(false));
        assert_eq!(MachineFacts::default().has_pmu("cpu"), None);
    }

    #[test]
    fn an_emulated_cpu_is_known_by_its_signature() {
        assert_eq!(Hypervisor::from_signature("TCGTCGTCGTCG"), Hypervisor::Emulator);
        assert_eq!(Hypervisor::from_signature("KVMKVMKVM").to_string(), "KVMKVMKVM");
    }
}
