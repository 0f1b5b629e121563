//! The classes, permissions and rules that a policy is to have.

use std::fmt;
use std::str::FromStr;

use super::super::vector::is_name;

/// The class of events and its permissions, in the order of `security/selinux/include/classmap.h`.
pub(super) const PERF_EVENT: &str = "perf_event";
const PERF_EVENT_PERMISSIONS: &[&str] = &["open", "cpu", "kernel", "tracepoint", "read", "write"];
/// The classes of the capabilities from 32 on, in the first user namespace and in others.
const CAPABILITY2: &str = "capability2";
const CAP2_USERNS: &str = "cap2_userns";
/// CAP_PERFMON, since Linux 5.8.
const PERFMON: &[&str] = &["perfmon"];
/// With CAP_BPF, since 5.8, and CAP_CHECKPOINT_RESTORE, since 5.9.
const ALL_CAPABILITIES: &[&str] = &["perfmon", "bpf", "checkpoint_restore"];

/// The classes, permissions and rules that a policy is to have.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// True for all capabilities that Linux 5.8 and 5.9 added, not only CAP_PERFMON.
    pub all_capabilities: bool,
    /// The domains that may use perf.
    pub domains: Vec<DomainName>,
}

/// The type of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainName(String);

/// A class that a policy is to have, with these permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WantedClass {
    pub(super) name: &'static str,
    pub(super) permissions: &'static [&'static str],
    pub(super) if_missing: IfMissing,
}

/// The way to treat a class that a policy does not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfMissing {
    /// Declare it.
    Declare,
    /// Fail: every policy has it, so this is only a part of one.
    Fail,
    /// Nothing: not every policy has it.
    Skip,
}

impl Wanted {
    /// The classes.
    pub(super) fn classes(&self) -> [WantedClass; 3] {
        let capabilities = if self.all_capabilities { ALL_CAPABILITIES } else { PERFMON };
        let class = |name, permissions, if_missing| WantedClass { name, permissions, if_missing };
        [
            class(PERF_EVENT, PERF_EVENT_PERMISSIONS, IfMissing::Declare),
            class(CAPABILITY2, capabilities, IfMissing::Fail),
            // The kernel looks for the permissions of both.
            class(CAP2_USERNS, capabilities, IfMissing::Skip),
        ]
    }

    /// What a domain that may use perf is allowed: class and permissions.
    pub(super) fn rules() -> [(&'static str, &'static [&'static str]); 2] {
        [(PERF_EVENT, PERF_EVENT_PERMISSIONS), (CAPABILITY2, PERFMON)]
    }
}

impl DomainName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected the name of a type, such as user_t".to_owned())
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
