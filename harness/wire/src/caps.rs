//! A set of capabilities, as the kernel stores it.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};

/// Capabilities as a bit mask: bit *n* is capability number *n* of `capability.h`. As text, their
/// SELinux names joined by `+`, or `none`, or `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// Every capability of current kernels: 0 (`chown`) to 40 (`checkpoint_restore`).
    pub const ALL: Self = Self((1 << 41) - 1);

    /// The set with only capability `number` (0 to 63).
    #[must_use]
    pub const fn one(number: u32) -> Self {
        Self(1 << number)
    }

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True if capability `number` is in the set.
    #[must_use]
    pub const fn has(self, number: u32) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// True if the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// CAP_DAC_OVERRIDE
pub const DAC_OVERRIDE: u32 = 1;
/// CAP_DAC_READ_SEARCH
pub const DAC_READ_SEARCH: u32 = 2;
/// CAP_KILL
pub const KILL: u32 = 5;
/// CAP_SETUID
pub const SETUID: u32 = 7;
/// CAP_IPC_LOCK
pub const IPC_LOCK: u32 = 14;
/// CAP_SYS_PTRACE
pub const SYS_PTRACE: u32 = 19;
/// CAP_SYS_ADMIN
pub const SYS_ADMIN: u32 = 21;
/// CAP_PERFMON, since 5.8
pub const PERFMON: u32 = 38;
/// CAP_BPF, since 5.8
pub const BPF: u32 = 39;
/// CAP_CHECKPOINT_RESTORE, since 5.9
pub const CHECKPOINT_RESTORE: u32 = 40;

/// Capabilities with a fallback: if the process lacks the first, the kernel asks for the second.
///
/// `perfmon_capable()`, `bpf_capable()` and `checkpoint_restore_ns_capable()` fall back on
/// CAP_SYS_ADMIN, and `generic_permission()` on CAP_DAC_OVERRIDE for an access that only reads.
pub const FALLBACKS: [(u32, u32); 4] = [
    (PERFMON, SYS_ADMIN),
    (BPF, SYS_ADMIN),
    (CHECKPOINT_RESTORE, SYS_ADMIN),
    (DAC_READ_SEARCH, DAC_OVERRIDE),
];

/// Every capability: its SELinux name (`sys_admin`) and its number.
pub fn names() -> impl Iterator<Item = (String, u32)> {
    caps::all().into_iter().map(|cap: caps::Capability| {
        let name = cap.to_string().to_lowercase();
        (name.trim_start_matches("cap_").to_owned(), u32::from(cap.index()))
    })
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EMPTY => return f.pad("none"),
            Self::ALL => return f.pad("all"),
            _ => {}
        }
        let name = |cap: u32| {
            names().find(|(_, known)| *known == cap).map_or(cap.to_string(), |(name, _)| name)
        };
        let mut held: Vec<_> = (0..64).filter(|cap| self.has(*cap)).map(name).collect();
        held.sort();
        f.pad(&held.join("+"))
    }
}

impl FromStr for CapSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self::EMPTY),
            "all" => return Ok(Self::ALL),
            _ => {}
        }
        text.split('+').try_fold(Self::EMPTY, |set, name| {
            let found = names().find(|(known, _)| known == name);
            let (_, number) = found.ok_or_else(|| format!("unknown capability `{name}`"))?;
            Ok(set.with(Self::one(number)))
        })
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CapSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CapSet".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description = "capabilities: `none`, `all`, or names joined by `+`: `perfmon+bpf`";
        // A kernel can report capabilities that have no name here.
        if generator.contract().is_serialize() {
            return schemars::json_schema!({
                "type": "string",
                "pattern": "^[a-z0-9_]+(\\+[a-z0-9_]+)*$",
                "description": description,
            });
        }
        let mut words: Vec<String> = names().map(|(name, _)| name).collect();
        words.sort();
        let name = words.join("|");
        words.extend(["none", "all"].map(str::to_owned));
        schemars::json_schema!({
            "type": "string",
            "anyOf": [
                { "enum": words },
                { "pattern": format!("^({name})(\\+({name}))+$") },
            ],
            "description": description,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_a_round_trip_through_text() {
        for (text, bits) in [("none", 0), ("perfmon", 1 << 38), ("bpf+perfmon", 3 << 38)] {
            assert_eq!(text.parse(), Ok(CapSet(bits)));
            assert_eq!(CapSet(bits).to_string(), text);
        }
        assert_eq!(CapSet::ALL.to_string().parse(), Ok(CapSet::ALL));
        assert!("perfmom".parse::<CapSet>().is_err());
    }
}
