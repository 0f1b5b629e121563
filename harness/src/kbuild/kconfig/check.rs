//! What fragments ask for together, and what of it did not come out.

use std::collections::HashMap;

use super::fragment::{Fragment, Request};
use crate::kernel::Config;

/// A request, and the fragment that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedRequest<'a> {
    /// The fragment that has the last word on the option.
    pub fragment: &'a Fragment,
    /// Its place among the fragments.
    pub index: usize,
    /// What it asks for.
    pub request: &'a Request,
}

impl PlacedRequest<'_> {
    /// Where the request stands: `selinux:6`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.fragment.name, self.request.line)
    }
}

/// What several fragments ask for together. Where more than one speaks of an option, the last one
/// counts, as for the kernel's `merge_config.sh`.
#[derive(Clone, Debug, Default)]
pub struct MergedRequests<'a> {
    last: HashMap<&'a str, PlacedRequest<'a>>,
}

impl<'a> MergedRequests<'a> {
    /// The requests of these fragments, in their order.
    #[must_use]
    pub fn merge(fragments: &'a [Fragment]) -> Self {
        let mut last = HashMap::new();
        for (index, fragment) in fragments.iter().enumerate() {
            let own = fragment.requests.iter();
            last.extend(own.map(|request| {
                (request.symbol.as_str(), PlacedRequest { fragment, index, request })
            }));
        }
        Self { last }
    }

    /// What is asked of an option.
    #[must_use]
    pub fn get(&self, symbol: &str) -> Option<PlacedRequest<'a>> {
        self.last.get(symbol).copied()
    }

    /// The requests that a configuration does not meet, in the order of the fragments.
    #[must_use]
    pub fn unmet(&self, config: &Config) -> Vec<PlacedRequest<'a>> {
        let met = |asked: &PlacedRequest<'_>| {
            let value = config.get(&format!("CONFIG_{}", asked.request.symbol));
            asked.request.wanted.is_met_by(value)
        };
        let mut unmet: Vec<_> = self.last.values().copied().filter(|asked| !met(asked)).collect();
        unmet.sort_unstable_by_key(|asked| (asked.index, asked.request.line));
        unmet
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lines(fragments: &[&str], config: &str) -> Vec<String> {
        let fragments: Vec<_> =
            fragments.iter().map(|text| Fragment::parse("own", text).unwrap()).collect();
        let config = Config::parse(config);
        let unmet = MergedRequests::merge(&fragments).unmet(&config);
        unmet.iter().map(|asked| asked.request.to_string()).collect()
    }

    #[rstest]
    #[case(&["CONFIG_A=y\nCONFIG_B=y"], "CONFIG_A=y\n", &["CONFIG_B=y"])]
    #[case(&["CONFIG_A=y"], "CONFIG_A=y\n", &[])]
    #[case(&["CONFIG_A=y", "# CONFIG_A is not set"], "", &[])]
    #[case(&["CONFIG_A=y", "# CONFIG_A is not set"], "CONFIG_A=y\n", &["# CONFIG_A is not set"])]
    #[case(&["# CONFIG_A is not set", "CONFIG_A=y"], "CONFIG_A=y\n", &[])]
    #[case(&["CONFIG_LSM=\"a\"", "CONFIG_LSM=\"a,b\""], "CONFIG_LSM=\"a,b\"\n", &[])]
    #[case(&["CONFIG_A=y"], "# CONFIG_A is not set\n", &["CONFIG_A=y"])]
    #[case(&["CONFIG_T=\"a \\\"b\\\"\""], "CONFIG_T=\"a \\\"b\\\"\"\n", &[])]
    fn the_last_fragment_has_the_last_word(
        #[case] fragments: &[&str],
        #[case] config: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(lines(fragments, config), expected);
    }
}
