//! Merges the requests of several fragments, and finds those that a configuration does not meet.

use std::collections::HashMap;

use super::fragment::{Fragment, Request};
use crate::kernel::Config;

/// A request with its fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedRequest<'a> {
    /// The last fragment that sets the option.
    pub fragment: &'a Fragment,
    /// Index of the fragment, from 0.
    pub index: usize,
    /// The request.
    pub request: &'a Request,
}

impl PlacedRequest<'_> {
    /// Fragment and line of the request: `selinux:6`.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}:{}", self.fragment.name, self.request.line)
    }
}

/// The requests of several fragments. If more than one sets an option, the last one wins, as in the
/// kernel's `merge_config.sh`.
#[derive(Clone, Debug, Default)]
pub struct MergedRequests<'a> {
    last: HashMap<&'a str, PlacedRequest<'a>>,
}

impl<'a> MergedRequests<'a> {
    /// Merges the requests of these fragments, in this order.
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

    /// The request for an option, named without `CONFIG_`.
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
    fn the_last_fragment_wins(
        #[case] fragments: &[&str],
        #[case] config: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(lines(fragments, config), expected);
    }
}
