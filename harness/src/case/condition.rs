//! Conditions on the kernel, each with its reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// An option that must be `=y` or `=m`. Holds if the configuration is unknown.
    pub config: Option<String>,
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
}

impl<'a> From<&'a Kernel> for Circumstances<'a> {
    fn from(kernel: &'a Kernel) -> Self {
        Self {
            version: kernel.version,
            distribution: kernel.distribution.as_deref(),
            config: kernel.config.as_ref(),
        }
    }
}

impl Condition {
    /// True if the condition holds on this kernel.
    #[must_use]
    pub fn holds(&self, kernel: &Circumstances<'_>) -> bool {
        self.since.as_ref().is_none_or(|fixed| fixed.has(kernel.version))
            && !self.until.as_ref().is_some_and(|fixed| fixed.has(kernel.version))
            && (self.series.is_empty()
                || self.series.iter().any(|series| series.series() == kernel.version.series()))
            && self.distribution.as_deref().is_none_or(|name| kernel.distribution == Some(name))
            && self
                .config
                .as_deref()
                .is_none_or(|option| kernel.config.is_none_or(|config| config.is_set(option)))
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
            reason: "a change and its end".to_owned(),
        };
        let version = version.parse().unwrap();
        let kernel = Circumstances { version, distribution: None, config: None };
        assert_eq!(condition.holds(&kernel), expected);
        let only = Condition {
            since: None,
            until: None,
            series: vec!["6.4".parse().unwrap()],
            ..condition
        };
        assert_eq!(only.holds(&kernel), version.series() == (6, 4));
    }
}
