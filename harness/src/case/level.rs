//! Values of `kernel.perf_event_paranoid`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// The word for [`Level::Default`].
const DEFAULT: &str = "default";

/// A value of `kernel.perf_event_paranoid` while a cell runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The agent writes this value.
    Set(i32),
    /// `default`: the value with which the kernel booted, which the agent does not write.
    ///
    /// Questions are computed with the level that the kernel's source promises
    /// ([`Level::value`]), not with one that the guest reports: an expectation that follows the
    /// kernel cannot fail.
    Default,
}

impl Level {
    /// The condition on which the default depends, in functions.toml.
    pub(crate) const RESTRICTED: &'static str = "restricted-by-default";

    /// The value; `restricted` is true if the condition `restricted-by-default` holds.
    #[must_use]
    pub fn value(self, restricted: bool) -> i32 {
        match (self, restricted) {
            (Self::Set(value), _) => value,
            // sysctl_perf_event_paranoid, kernel/events/core.c
            (Self::Default, false) => 2,
            // The same in Debian's kernels.
            (Self::Default, true) => 3,
        }
    }
}

impl From<i32> for Level {
    fn from(value: i32) -> Self {
        Self::Set(value)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => value.fmt(f),
            Self::Default => f.write_str(DEFAULT),
        }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            DEFAULT => Ok(Self::Default),
            _ => text.parse().map(Self::Set).map_err(|_| format!("`{text}` is not a level")),
        }
    }
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => serializer.serialize_i32(*value),
            Self::Default => serializer.serialize_str(DEFAULT),
        }
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrDefault;

        impl Visitor<'_> for NumberOrDefault {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number or \"{DEFAULT}\"")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Level, E> {
                let level = i32::try_from(value).map(Level::Set);
                level.map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Level, E> {
                let level = i32::try_from(value).map(Level::Set);
                level.map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Level, E> {
                match word {
                    DEFAULT => Ok(Level::Default),
                    other => Err(E::invalid_type(Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_any(NumberOrDefault)
    }
}

impl JsonSchema for Level {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Level".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{ "type": "integer", "format": "int32" }, { "const": DEFAULT }],
            "description": "A value of kernel.perf_event_paranoid, or `default` for the one with \
                            which the kernel booted.",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Level::Set(-1), "-1", "-1")]
    #[case(Level::Set(2), "2", "2")]
    #[case(Level::Default, "default", "\"default\"")]
    fn a_level_is_read_as_it_is_written(
        #[case] level: Level,
        #[case] text: &str,
        #[case] json: &str,
    ) {
        assert_eq!(level.to_string(), text);
        assert_eq!(text.parse(), Ok(level));
        assert_eq!(serde_json::to_string(&level).unwrap(), json);
        assert_eq!(serde_json::from_str::<Level>(json).unwrap(), level);
    }

    #[rstest]
    #[case(Level::Set(1), true, 1)]
    #[case(Level::Default, false, 2)]
    #[case(Level::Default, true, 3)]
    fn only_the_default_depends_on_the_kernel(
        #[case] level: Level,
        #[case] restricted: bool,
        #[case] value: i32,
    ) {
        assert_eq!(level.value(restricted), value);
    }
}
