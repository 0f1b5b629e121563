//! Which requests are not what came out.

use std::collections::HashMap;

use super::fragment::{Fragment, Request};
use crate::kernel::Config;

/// A request that the final configuration does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmet<'a> {
    /// The fragment that has the last word on the option.
    pub fragment: &'a Fragment,
    /// What it asks for.
    pub request: &'a Request,
}

/// The requests that a configuration does not meet, in the order of the fragments. Where several
/// fragments speak of an option, the last one counts, as for the kernel's `merge_config.sh`.
#[must_use]
pub fn unmet<'a>(fragments: &'a [Fragment], config: &Config) -> Vec<Unmet<'a>> {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, fragment) in fragments.iter().enumerate() {
        last.extend(fragment.requests.iter().map(|request| (request.symbol.as_str(), index)));
    }
    let all = fragments.iter().enumerate().flat_map(|(index, fragment)| {
        fragment.requests.iter().map(move |request| (index, Unmet { fragment, request }))
    });
    all.filter(|(index, unmet)| last.get(unmet.request.symbol.as_str()) == Some(index))
        .map(|(_, unmet)| unmet)
        .filter(|Unmet { request, .. }| {
            !request.wanted.is_met_by(config.get(&format!("CONFIG_{}", request.symbol)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lines(fragments: &[&str], config: &str) -> Vec<String> {
        let fragments: Vec<_> =
            fragments.iter().map(|text| Fragment::parse("own", text).unwrap()).collect();
        let config = Config::parse(config);
        unmet(&fragments, &config).iter().map(|unmet| unmet.request.to_string()).collect()
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
