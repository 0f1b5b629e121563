//! Conditions on the kernel, each with its reason.

use crate::kernel::{Config, FixedIn, KernelVersion};

/// A difference between kernels: when it holds and why. Everything that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The releases that first carried it, one for each stable series.
    pub since: Option<FixedIn>,
    /// The distribution whose kernels have it.
    pub distribution: Option<String>,
    /// An option that must be `=y` or `=m`; holds when the configuration is not known.
    pub config: Option<String>,
    /// The commit, document or patch that makes the difference.
    pub reason: String,
}

/// What conditions are about: facts of the kernel that runs.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Its version, stable number included.
    pub version: KernelVersion,
    /// Who built it, if known.
    pub distribution: Option<&'a str>,
    /// Its configuration, if known.
    pub config: Option<&'a Config>,
}

impl Condition {
    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, kernel: &Circumstances<'_>) -> bool {
        self.since.as_ref().is_none_or(|fixed| fixed.has(kernel.version))
            && self.distribution.as_deref().is_none_or(|name| kernel.distribution == Some(name))
            && self
                .config
                .as_deref()
                .is_none_or(|option| kernel.config.is_none_or(|config| config.is_set(option)))
    }
}
