//! Grants: the file capabilities on a subject's executable, by name.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use perfsec_wire::CapSet;
use perfsec_wire::caps::names;
use serde::{Deserialize, Serialize};

/// A named set of file capabilities: `none`, `perfmon`, `perfmon+sys_admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant(pub CapSet);

/// A transcript names a capability in every other line.
static NAMES: LazyLock<Vec<(String, u32)>> = LazyLock::new(|| names().collect());

/// The name of capability `number` as in SELinux (`sys_admin`), or the number if it is unknown.
#[must_use]
pub fn cap_name(number: u32) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| name.clone())
}

/// The kernel's constant for a capability: `CAP_PERFMON`.
#[must_use]
pub(crate) fn cap_constant(number: u32) -> String {
    format!("CAP_{}", cap_name(number).to_uppercase())
}

/// The class in which SELinux checks a capability in the initial user namespace or another
/// (`cred_has_capability()`, security/selinux/hooks.c).
#[must_use]
pub(crate) const fn cap_class(number: u32, initial_namespace: bool) -> &'static str {
    match (number < 32, initial_namespace) {
        (true, true) => "capability",
        (false, true) => "capability2",
        (true, false) => "cap_userns",
        (false, false) => "cap2_userns",
    }
}

/// The number of the capability with this name.
///
/// # Errors
///
/// The name is unknown; the error suggests the closest one.
pub fn cap_number(name: &str) -> Result<u32, String> {
    NAMES.iter().find(|(known, _)| known == name).map(|(_, number)| *number).ok_or_else(|| {
        let close = crate::suggest::closest(name, NAMES.iter().map(|(known, _)| known));
        format!("unknown capability `{name}`{close}")
    })
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Prefer the error with a suggestion.
        let better =
            |error| text.split('+').find_map(|name| cap_number(name).err()).unwrap_or(error);
        text.parse().map(Self).map_err(better)
    }
}

impl schemars::JsonSchema for Grant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        CapSet::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        CapSet::json_schema(generator)
    }
}

impl TryFrom<String> for Grant {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("none", 0)]
    #[case("perfmon", 1 << 38)]
    #[case("sys_admin", 1 << 21)]
    #[case("perfmon+sys_admin", 1 << 38 | 1 << 21)]
    #[case("bpf+perfmon", 1 << 38 | 1 << 39)]
    fn names_and_sets_convert_both_ways(#[case] name: &str, #[case] bits: u64) {
        assert_eq!(name.parse(), Ok(Grant(CapSet(bits))));
        assert_eq!(Grant(CapSet(bits)).to_string(), name);
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let error = "perfmom".parse::<Grant>().unwrap_err();
        assert_eq!(error, "unknown capability `perfmom`; did you mean `perfmon`?");
    }
}
