//! Changes to a policy.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The changes that a user, or perfsec, made to a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChanges {
    /// The modules that were added, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<AddedModule>,
    /// The booleans that were set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub booleans: BTreeMap<String, bool>,
    /// True if all `dontaudit` rules were removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_dontaudit: bool,
}

/// A module that was added to a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddedModule {
    /// Its name.
    pub name: String,
    /// Its priority in the module store; absent if the policy is compiled from CIL, in which no
    /// module replaces another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// SHA-256 of its file, in hex.
    pub sha256: String,
}

impl PolicyChanges {
    /// True if there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A list for people: `module site (priority 400), deny_ptrace=on, without dontaudit`.
impl fmt::Display for PolicyChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modules = self.modules.iter().map(|module| match module.priority {
            Some(priority) => format!("module {} (priority {priority})", module.name),
            None => format!("module {}", module.name),
        });
        let booleans = self
            .booleans
            .iter()
            .map(|(name, value)| format!("{name}={}", if *value { "on" } else { "off" }));
        let dontaudit = self.without_dontaudit.then(|| "without dontaudit".to_owned());
        let all: Vec<_> = modules.chain(booleans).chain(dontaudit).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_a_list() {
        let module = |name: &str, priority| AddedModule {
            name: name.to_owned(),
            priority,
            sha256: String::new(),
        };
        let changes = PolicyChanges {
            modules: vec![module("site", Some(400)), module("extra", None)],
            booleans: [("deny_ptrace".to_owned(), true), ("b".to_owned(), false)].into(),
            without_dontaudit: true,
        };
        let words =
            "module site (priority 400), module extra, b=off, deny_ptrace=on, without dontaudit";
        assert_eq!(changes.to_string(), words);
        assert!(PolicyChanges::default().is_empty() && !changes.is_empty());
    }
}
