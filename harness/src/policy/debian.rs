//! The policies in Debian's archive.

use super::compile::PolicyError;
use super::files::{self, PolicyFiles};
use super::request::{Flavour, Obtaining, PolicySelector};
use super::tools::Tools;
use crate::debian::{Archive, DebianError, NamedPackage};

/// A policy package in Debian's archive, and the tools that build its policy.
#[derive(Clone, Debug)]
pub(super) struct DebianPolicy {
    package: NamedPackage,
    kind: &'static str,
    tools: Tools,
}

impl DebianPolicy {
    /// Looks up a package, and the tools of its suite.
    pub(super) fn find(
        archive: &Archive<'_>,
        selector: &PolicySelector,
        flavour: Flavour,
    ) -> Result<Self, DebianError> {
        let (name, kind) = flavour.names();
        let package = match selector {
            PolicySelector::Suite(suite) => archive.find_named(suite, &[name])?,
            PolicySelector::Version(version) => archive.find_named_version(name, version)?,
        };
        let tools = Tools::of_suite(archive, package.group())?;
        Ok(Self { package, kind, tools })
    }

    pub(super) fn kind(&self) -> &str {
        self.kind
    }

    pub(super) fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The identity of the package, known before the download.
    pub(super) fn key(&self) -> &str {
        self.package.sha256()
    }

    /// Downloads the package and reads its files.
    pub(super) fn files(
        &self,
        archive: &Archive<'_>,
        obtaining: &Obtaining<'_>,
    ) -> Result<PolicyFiles, PolicyError> {
        files::of_deb(&archive.fetch_named(&self.package)?, obtaining.interrupt)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cache::Cache;
    use crate::policy::{Policy, PolicyRequest};

    #[rstest]
    #[ignore = "needs the package registry"]
    fn a_suites_policy_is_built_by_the_suites_own_tools(
        #[values("bullseye", "bookworm", "trixie", "sid")] suite: &str,
        #[values("debian", "debian-mls")] flavour: &str,
    ) {
        let cache = Cache::open().unwrap();
        let name = format!("{flavour}:{suite}");
        let request = PolicyRequest::unchanged(name.parse().unwrap());
        let policy = Policy::obtain(&request, &Obtaining::quietly(&cache)).unwrap();
        assert!(policy.mls && policy.version <= 33 && policy.changes.is_empty(), "{name}");
    }
}
