//! Commit IDs.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of displayed digits, as the kernel's documentation asks.
const SHORT: usize = 12;

/// A full commit ID in hexadecimal.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

/// Text that is not a full commit ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read commit {0:?}: expected 40 or 64 hexadecimal digits")]
pub struct NotACommit(String);

impl Commit {
    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }
}

impl FromStr for Commit {
    type Err = NotACommit;

    fn from_str(text: &str) -> Result<Self, NotACommit> {
        let hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hexadecimal && matches!(text.len(), 40 | 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotACommit(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Commit {
    type Error = NotACommit;

    fn try_from(text: String) -> Result<Self, NotACommit> {
        text.parse()
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> Self {
        commit.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_id_is_complete_and_its_short_form_has_twelve_digits() {
        let name = "0123456789abcdef0123456789abcdef01234567";
        let commit: Commit = name.parse().unwrap();
        assert_eq!((commit.as_str(), commit.short()), (name, "0123456789ab"));
        for wrong in ["", "HEAD", "0123456789ab", &name.to_uppercase(), "é"] {
            assert!(wrong.parse::<Commit>().is_err(), "{wrong}");
        }
    }
}
