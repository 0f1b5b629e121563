//! Packages of Debian's archive that are found by name.

use std::path::PathBuf;

use super::archive::{Archive, DebianError};
use super::catalogue::{Catalogue, Package};
use super::order;
use super::suite::DebianSuite;

/// A package of the archive.
#[derive(Clone, Debug)]
pub(crate) struct NamedPackage {
    /// The suite whose catalogue lists it.
    group: DebianSuite,
    package: Package,
}

impl NamedPackage {
    pub(crate) fn version(&self) -> &str {
        &self.package.version
    }

    /// The suite in which it was found: `bookworm` rather than `bookworm-security`.
    pub(crate) fn group(&self) -> &str {
        self.group.name()
    }

    /// Of the package, in hexadecimal, from the signed list.
    pub(crate) fn sha256(&self) -> &str {
        &self.package.sha256
    }
}

impl Archive<'_> {
    /// Finds the newest package of a suite with the first of these names that the suite has.
    pub(crate) fn find_named(
        &self,
        suite: &str,
        names: &[&str],
    ) -> Result<NamedPackage, DebianError> {
        let (group, catalogue) = self.catalogue(suite)?;
        let package = names.iter().find_map(|name| catalogue.newest(name)).cloned();
        let missing =
            || DebianError::NoPackage { package: names.join(" or "), suite: suite.to_owned() };
        Ok(NamedPackage { package: package.ok_or_else(missing)?, group })
    }

    /// Finds the newest package whose version begins with `wanted`, over all suites. An epoch may
    /// be left out.
    pub(crate) fn find_named_version(
        &self,
        name: &str,
        wanted: &str,
    ) -> Result<NamedPackage, DebianError> {
        let mut best: Option<NamedPackage> = None;
        let mut seen = Vec::new();
        let mut take = |group: &DebianSuite, catalogue: &Catalogue| {
            for package in catalogue.named(name) {
                seen.push(package.version.clone());
                let newer = best
                    .as_ref()
                    .is_none_or(|best| order::compare(&package.version, best.version()).is_gt());
                if newer && matches(&package.version, wanted) {
                    best = Some(NamedPackage { group: group.clone(), package: package.clone() });
                }
            }
        };
        let failure = self.search(&mut take)?;
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(failure)) if seen.is_empty() => Err(failure),
            (None, _) => {
                seen.sort_by(|a, b| order::compare(a, b));
                seen.dedup();
                let (package, wanted) = (name.to_owned(), wanted.to_owned());
                Err(DebianError::NoVersion { package, wanted, known: seen })
            }
        }
    }

    /// Downloads a package, unless it is in the cache; returns the file.
    pub(crate) fn fetch_named(&self, found: &NamedPackage) -> Result<PathBuf, DebianError> {
        self.fetch_package(&found.group, &found.package)
    }
}

/// True if a version begins with these numbers, with or without its epoch.
fn matches(version: &str, wanted: &str) -> bool {
    let begins = |version: &str| {
        let rest = version.strip_prefix(wanted);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    begins(version) || version.split_once(':').is_some_and(|(_, version)| begins(version))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2.20250213-13~deb13u1", true)]
    #[case("2.20250213", true)]
    #[case("2:2.20250213-13", true)]
    #[case("2", true)]
    #[case("2.2025", false)]
    #[case("2.20250213-1", false)]
    #[case("13", false)]
    fn a_version_is_named_by_its_beginning(#[case] wanted: &str, #[case] expected: bool) {
        assert_eq!(matches("2:2.20250213-13~deb13u1", wanted), expected);
    }
}
