//! Splits a run among several machines.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One of several parts of a run's cases. A case belongs to the same part whichever other cases
/// exist, so a new case does not move the others.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: u32,
    total: NonZeroU32,
}

impl Shard {
    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// The number of parts.
    #[must_use]
    pub fn total(self) -> u32 {
        self.total.get()
    }

    /// True if a case belongs to this part.
    #[must_use]
    pub fn contains(self, case: &str) -> bool {
        let digest = Sha256::digest(case);
        let first = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first % u64::from(self.total.get()) == u64::from(self.number) - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, total)| {
            Some((number.trim().parse().ok()?, total.trim().parse::<NonZeroU32>().ok()?))
        });
        match parts {
            Some((number, total)) if (1..=total.get()).contains(&number) => {
                Ok(Self { number, total })
            }
            _ => Err(format!(
                "`{text}` is not a shard (expected `1/3`, the first of three parts, to `3/3`)"
            )),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.total)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;
    use crate::case::Library;
    use crate::plan::Filter;

    #[rstest]
    fn every_cell_is_in_one_shard_and_no_shard_has_twice_its_share(#[values(2, 4)] of: u32) {
        let library = Library::built_in().unwrap();
        let names = |shard| {
            let cells = Filter { shard, ..Filter::default() }.select(&library).unwrap();
            cells.iter().map(|cell| cell.name()).collect::<BTreeSet<_>>()
        };
        let all = names(None);
        let shards: Vec<_> =
            (1..=of).map(|number| names(format!("{number}/{of}").parse().ok())).collect();
        assert_eq!(shards.iter().flatten().cloned().collect::<BTreeSet<_>>(), all);
        for shard in &shards {
            assert!(shard.len() * (of as usize) < all.len() * 2, "{} cells", shard.len());
        }
        // Only controls run in several shards.
        let twice = shards.iter().map(BTreeSet::len).sum::<usize>() - all.len();
        assert!(twice < all.len() / 10, "{twice} cells run twice");
    }

    #[rstest]
    #[case("0/2")]
    #[case("3/2")]
    #[case("1/0")]
    #[case("1")]
    #[case("-1/2")]
    fn an_invalid_shard_is_refused(#[case] text: &str) {
        assert!(text.parse::<Shard>().unwrap_err().contains("not a shard"));
        assert!("2/2".parse::<Shard>().is_ok());
    }
}
