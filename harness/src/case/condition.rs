//! Conditions on the kernel, each with its reason.

use perfsec_wire::machine::MachineFacts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::machine::MachineProperty;
use crate::kernel::{Config, FixedIn, Kernel, KernelVersion};

/// A difference between kernels: where it holds and why. It holds where every given part does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The first release with the difference, in each stable series.
    pub since: Option<FixedIn>,
    /// The first release without it again, in each stable series.
    pub until: Option<FixedIn>,
    /// The series to which it is limited: others were not examined. Empty for all.
    pub series: Vec<KernelVersion>,
    /// The distribution whose kernels have it.
    pub distribution: Option<String>,
    /// An option that must be `=y`.
    pub config: Option<String>,
    /// A property that the machine must have.
    pub machine: Option<MachineProperty>,
    /// The commit, document or patch that makes the difference.
    pub reason: String,
}

/// A difference that a kernel is known to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Known")]
pub struct KnownDifference {
    /// Its name, the same in every run and report.
    pub name: String,
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// URL of a discussion.
    pub link: Option<String>,
}

/// Facts about the kernel under test that conditions refer to.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Its version, stable number included.
    pub version: KernelVersion,
    /// The distribution that built it, if known.
    pub distribution: Option<&'a str>,
    /// Its configuration, if known.
    pub config: Option<&'a Config>,
    /// The machine that runs it, if known.
    pub machine: Option<&'a MachineFacts>,
    /// True to assume that the kernel and the machine have every unknown thing that a condition
    /// names: for a kernel that is only a version.
    pub assumed: bool,
}

impl<'a> From<&'a Kernel> for Circumstances<'a> {
    fn from(kernel: &'a Kernel) -> Self {
        Self {
            version: kernel.version,
            distribution: kernel.distribution.as_deref(),
            config: kernel.config.as_ref(),
            machine: None,
            assumed: false,
        }
    }
}

impl<'a> Circumstances<'a> {
    /// A kernel that exists only as a version: everything else that a condition names is assumed.
    #[must_use]
    pub fn hypothetical(version: KernelVersion, distribution: Option<&'a str>) -> Self {
        Self { version, distribution, config: None, machine: None, assumed: true }
    }
}

impl Condition {
    /// True if the condition holds on this kernel. What is unknown does not hold, unless it is
    /// assumed.
    #[must_use]
    pub fn holds(&self, kernel: &Circumstances<'_>) -> bool {
        self.decide(kernel).unwrap_or(kernel.assumed)
    }

    /// True if the condition holds on this kernel, `None` if that depends on something unknown.
    #[must_use]
    pub fn decide(&self, kernel: &Circumstances<'_>) -> Option<bool> {
        let version = self.since.as_ref().is_none_or(|fixed| fixed.has(kernel.version))
            && !self.until.as_ref().is_some_and(|fixed| fixed.has(kernel.version))
            && (self.series.is_empty()
                || self.series.iter().any(|series| series.series() == kernel.version.series()))
            && self.distribution.as_deref().is_none_or(|name| kernel.distribution == Some(name));
        let config = match (&self.config, kernel.config) {
            (None, _) => Some(true),
            (Some(option), Some(config)) => Some(config.is_set(option)),
            (Some(_), None) => None,
        };
        let machine = match (self.machine, kernel.machine) {
            (None, _) => Some(true),
            (Some(property), Some(machine)) => property.of(machine),
            (Some(_), None) => None,
        };
        match [Some(version), config, machine] {
            parts if parts.contains(&Some(false)) => Some(false),
            parts if parts.contains(&None) => None,
            _ => Some(true),
        }
    }

    /// The releases that the condition names.
    pub fn versions(&self) -> impl Iterator<Item = KernelVersion> {
        let fixed = self.since.iter().chain(&self.until).flat_map(FixedIn::versions);
        fixed.chain(self.series.iter().copied())
    }

    /// Names the missing fact that would decide the condition on this kernel, and the option that
    /// supplies it; `None` if the condition is decided.
    #[must_use]
    pub fn unknown(&self, kernel: &Circumstances<'_>) -> Option<String> {
        if self.decide(kernel).is_some() || kernel.assumed {
            return None;
        }
        Some(match (&self.config, kernel.config, self.machine) {
            (Some(option), None, _) => format!(
                "it is unknown if the kernel has {option} (--kernel-config FILE tells): {}",
                self.reason
            ),
            (_, _, property) => format!(
                "it is unknown if the machine has {}: {}",
                property.map_or("it", MachineProperty::name),
                self.reason
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5.18", false)]
    #[case("5.19", true)]
    #[case("6.4.9", true)]
    #[case("6.4.10", false)]
    #[case("6.5", false)]
    #[case("7.9", false)]
    fn a_condition_holds_from_since_and_until(#[case] version: &str, #[case] expected: bool) {
        let condition = Condition {
            since: Some("5.19".parse().unwrap()),
            until: Some("6.4.10, 6.5".parse().unwrap()),
            series: Vec::new(),
            distribution: None,
            config: None,
            machine: None,
            reason: "a change and its end".to_owned(),
        };
        let version = version.parse().unwrap();
        let kernel = Circumstances::hypothetical(version, None);
        assert_eq!(condition.holds(&kernel), expected);
        let only = Condition {
            since: None,
            until: None,
            series: vec!["6.4".parse().unwrap()],
            ..condition
        };
        assert_eq!(only.holds(&kernel), version.series() == (6, 4));
    }

    const VERSION: KernelVersion = KernelVersion::new(6, 1, 0);

    fn condition(config: Option<&str>, machine: Option<MachineProperty>) -> Condition {
        Condition {
            since: None,
            until: None,
            series: Vec::new(),
            distribution: None,
            config: config.map(str::to_owned),
            machine,
            reason: "a reason".to_owned(),
        }
    }

    #[test]
    fn an_unknown_configuration_decides_nothing_and_does_not_hold() {
        let jit = condition(Some("CONFIG_BPF_JIT"), None);
        let unknown =
            Circumstances { assumed: false, ..Circumstances::hypothetical(VERSION, None) };
        assert_eq!((jit.decide(&unknown), jit.holds(&unknown)), (None, false));
        let text = jit.unknown(&unknown).unwrap();
        assert!(text.contains("CONFIG_BPF_JIT (--kernel-config FILE tells): a reason"), "{text}");
        for (text, expected) in [("CONFIG_BPF_JIT=y\n", true), ("CONFIG_BPF=y\n", false)] {
            let config = Config::parse(text);
            let known = Circumstances { config: Some(&config), ..unknown };
            assert_eq!((jit.decide(&known), jit.unknown(&known)), (Some(expected), None));
        }
        assert!(jit.holds(&Circumstances::hypothetical(VERSION, None)));
        let later = Condition { since: Some("6.2".parse().unwrap()), ..jit };
        assert_eq!(later.decide(&unknown), Some(false));
    }

    #[rstest]
    #[case(Some(true), Some(true))]
    #[case(Some(false), Some(false))]
    #[case(None, None)]
    fn a_property_of_the_machine_is_decided_by_its_facts(
        #[case] mitigations: Option<bool>,
        #[case] expected: Option<bool>,
    ) {
        let machine = MachineFacts { mitigations, ..MachineFacts::default() };
        let kernel = Circumstances {
            machine: Some(&machine),
            assumed: false,
            ..Circumstances::hypothetical(VERSION, None)
        };
        let mitigated = condition(None, Some(MachineProperty::Mitigations));
        assert_eq!(mitigated.decide(&kernel), expected);
        assert_eq!(mitigated.unknown(&kernel).is_some(), expected.is_none());
    }
}
