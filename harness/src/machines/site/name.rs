//! Names of machines in the site file.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

/// The name of a machine in the site file: letters, digits, `-`, `_` and `.`, so that it is also
/// the name of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct SiteName(String);

/// A text that cannot be the name of a machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a machine: expected letters, digits, `-`, `_` and `.`, and not \
     `here`"
)]
pub struct SiteNameError(String);

impl SiteName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SiteName {
    type Err = SiteNameError;

    fn from_str(text: &str) -> Result<Self, SiteNameError> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        match begins && text.chars().all(is_part) && text != "here" {
            true => Ok(Self(text.to_owned())),
            false => Err(SiteNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for SiteName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SiteName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("rack1", true)]
    #[case("a.b-c_d", true)]
    #[case("here", false)]
    #[case("ssh:host", false)]
    #[case("../x", false)]
    #[case(".hidden", false)]
    #[case("", false)]
    fn a_name_is_also_the_name_of_a_file(#[case] text: &str, #[case] is_one: bool) {
        assert_eq!(text.parse::<SiteName>().is_ok(), is_one);
    }
}
