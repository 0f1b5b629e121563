//! A fact with its source.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// A fact with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// The place that it comes from.
    pub source: FactSource,
}

/// The source of a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "source", content = "from")]
pub enum FactSource {
    /// An option, or words of the user.
    Given,
    /// A file of this machine, or a change that was asked about.
    Read(String),
    /// Nothing: the value is assumed, for this reason.
    Assumed(String),
}

impl<T> Known<T> {
    /// A fact that the user gave.
    pub const fn given(value: T) -> Self {
        Self { value, source: FactSource::Given }
    }

    /// A fact that was read from this file.
    pub fn read(value: T, from: impl Into<String>) -> Self {
        Self { value, source: FactSource::Read(from.into()) }
    }

    /// A fact that is assumed, with the reason as a clause.
    pub fn assumed(value: T, why: impl Into<String>) -> Self {
        Self { value, source: FactSource::Assumed(why.into()) }
    }
}

impl FactSource {
    /// True if nobody and nothing states the fact.
    #[must_use]
    pub const fn is_assumed(&self) -> bool {
        matches!(self, Self::Assumed(_))
    }
}

impl fmt::Display for FactSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::Read(from) => f.write_str(from),
            Self::Assumed(why) => write!(f, "assumed: {why}"),
        }
    }
}
