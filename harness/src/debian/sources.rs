//! The archives of a suite, for programs that fetch its packages with an apt of their own.

use std::process::Command;

use super::apt;
use super::archive::DebianError;
use super::command::run;
use super::mirror::Mirrors;
use super::suite::DebianSuite;

/// Suffixes of suites that only add to another one.
const ADDITIONS: [&str; 2] = ["-backports", "experimental"];

/// The archives of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Lines of a sources list.
    pub(crate) list: String,
    /// apt's configuration: the host's settings of the network.
    pub(crate) configuration: String,
}

/// The suite with this name; `None` if it is only an addition to another. `host_suite` is known too.
///
/// # Errors
///
/// [`DebianError::UnknownSuite`].
pub(crate) fn whole_suite(
    name: &str,
    host_suite: Option<&str>,
) -> Result<Option<WholeSuite>, DebianError> {
    let suite = DebianSuite::find(name, host_suite).ok_or_else(|| {
        let known = DebianSuite::names().into_iter().filter(|name| !is_addition(name));
        DebianError::UnknownSuite { name: name.to_owned(), known: known.collect() }
    })?;
    Ok((!is_addition(name)).then_some(WholeSuite(suite)))
}

fn is_addition(name: &str) -> bool {
    ADDITIONS.iter().any(|ending| name.ends_with(ending))
}

/// A suite that has a whole system.
#[derive(Clone, Debug)]
pub(crate) struct WholeSuite(DebianSuite);

/// The archives of a suite on the host's mirrors.
///
/// # Errors
///
/// The host has no apt, no mirror or no keys.
pub(crate) fn sources(suite: &WholeSuite) -> Result<Sources, DebianError> {
    apt::require_keyring()?;
    let host = run(Command::new("apt-config").arg("dump"))?;
    let list = apt::sources_list(&Mirrors::detect()?, &suite.0.parts());
    Ok(Sources { list, configuration: apt::network_settings(&host) })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("trixie", true)]
    #[case("sid", true)]
    #[case("trixie-backports", false)]
    #[case("experimental", false)]
    fn an_addition_is_no_whole_suite(#[case] name: &str, #[case] whole: bool) {
        assert_eq!(whole_suite(name, None).unwrap().is_some(), whole);
    }

    #[test]
    fn the_error_about_an_unknown_suite_lists_whole_ones() {
        let error = whole_suite("sarge", None).unwrap_err().to_string();
        assert!(error.contains("sarge") && error.contains("trixie"), "{error}");
        assert!(!error.contains("backports"), "{error}");
    }
}
