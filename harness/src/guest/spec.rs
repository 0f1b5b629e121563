//! Names of guest systems, as given on the command line.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a guest system, `debian:SUITE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
pub struct GuestName {
    suite: String,
}

/// A name of a guest system that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the name of a guest system {0}: expected debian:SUITE, such as debian:trixie")]
pub struct GuestNameError(String);

impl GuestName {
    /// The suite, such as `trixie`.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }
}

impl FromStr for GuestName {
    type Err = GuestNameError;

    fn from_str(text: &str) -> Result<Self, GuestNameError> {
        let suite = text.strip_prefix("debian:").unwrap_or_default();
        // It becomes an argument of a program.
        let is_name = suite.starts_with(|it: char| it.is_ascii_alphabetic())
            && suite.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
        match is_name {
            true => Ok(Self { suite: suite.to_owned() }),
            false => Err(GuestNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "debian:{}", self.suite)
    }
}

impl From<GuestName> for String {
    fn from(name: GuestName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for GuestName {
    type Error = GuestNameError;

    fn try_from(text: String) -> Result<Self, GuestNameError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_name_parses_and_prints_the_same() {
        let name: GuestName = "debian:trixie".parse().unwrap();
        assert_eq!((name.suite(), name.to_string().as_str()), ("trixie", "debian:trixie"));
    }

    #[rstest]
    #[case::without_a_distribution("trixie")]
    #[case::of_another_distribution("fedora:42")]
    #[case::without_a_suite("debian:")]
    #[case::version("debian:13")]
    #[case::option("debian:-x")]
    #[case::path("debian:../x")]
    fn another_name_is_an_error_that_shows_the_form(#[case] name: &str) {
        let error = name.parse::<GuestName>().unwrap_err().to_string();
        assert!(error.contains("expected debian:SUITE"), "{error}");
    }
}
