//! A regular expression in the steps, for one line of output.

use regex::Regex;
use serde::{Deserialize, Deserializer};

/// A regular expression whose `^` and `$` match at each line.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// True if a line matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The number of lines that match.
    pub(super) fn count(&self, text: &str) -> usize {
        text.lines().filter(|line| self.0.is_match(line)).count()
    }

    /// The expression as it is written.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str().trim_start_matches("(?m)")
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&format!("(?m){text}")).map(Self).map_err(|error| {
            // Its other lines show the place in the expression.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            serde::de::Error::custom(format!("`{text}` is no regular expression: {why}"))
        })
    }
}
