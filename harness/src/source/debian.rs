//! Finds and downloads the source packages of Debian's kernels.

use std::fmt;
use std::path::PathBuf;

use crate::cache::Cache;
use crate::debian::{ArchivePackage, DebianError, PackageKind};
use crate::host::OsRelease;
use crate::interrupt::Interrupt;
use crate::kernel::{DebianSelector, ImageOptions, KernelVersion};

/// A package `linux-source-*` in Debian's archive, possibly not yet downloaded.
#[derive(Clone, Debug)]
pub struct DebianSource {
    package: ArchivePackage,
}

impl DebianSource {
    /// Looks up a source package. `progress` gets a line, without a newline, before slow steps.
    ///
    /// # Errors
    ///
    /// The suite or the version is unknown, or the archive cannot be reached.
    pub fn find(
        selector: &DebianSelector,
        cache: &Cache,
        options: ImageOptions,
        interrupt: &Interrupt,
        progress: &dyn Fn(&str),
    ) -> Result<Self, DebianError> {
        let host = OsRelease::detect();
        let archive = options.archive(&host, cache, interrupt, progress);
        Ok(Self { package: archive.find(selector, PackageKind::Source)? })
    }

    /// Downloads the package, unless it is in the cache, and returns the file. Its content matches
    /// the signed package list.
    ///
    /// # Errors
    ///
    /// The archive cannot be reached, or the cache is full.
    pub fn fetch(
        &self,
        cache: &Cache,
        options: ImageOptions,
        interrupt: &Interrupt,
        progress: &dyn Fn(&str),
    ) -> Result<PathBuf, DebianError> {
        let host = OsRelease::detect();
        options.archive(&host, cache, interrupt, progress).fetch(&self.package)
    }

    /// Package name: `linux-source-6.1`.
    pub fn package(&self) -> &str {
        self.package.name()
    }

    /// Package version: `6.1.192-2`.
    pub fn version(&self) -> &str {
        self.package.version()
    }

    /// Kernel version, from the package version.
    pub fn kernel(&self) -> KernelVersion {
        self.package.kernel()
    }

    /// The suite that lists the package.
    pub fn suite(&self) -> &str {
        self.package.suite()
    }

    /// SHA-256 of the package, in hexadecimal; known before the download.
    pub fn sha256(&self) -> String {
        self.package.key()
    }
}

impl fmt::Display for DebianSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.package(), self.version(), self.suite())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::source::unpack;

    fn find(cache: &Cache, selector: &DebianSelector) -> Result<DebianSource, DebianError> {
        let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
        DebianSource::find(selector, cache, options, &interrupt, &|_| {})
    }

    fn version(prefix: &str) -> DebianSelector {
        DebianSelector::Version(prefix.parse().unwrap())
    }

    #[rstest]
    #[case(version("6.1"), "linux-source-6.1")]
    #[case(version("7.3"), "linux-source-7.3")]
    #[ignore = "needs the package registry and 2 GB"]
    fn a_source_has_the_version_of_its_package(
        #[case] selector: DebianSelector,
        #[case] package: &str,
    ) {
        let cache = Cache::open().unwrap();
        let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
        let source = find(&cache, &selector).unwrap();
        assert_eq!(source.package(), package);
        let path = source.fetch(&cache, options, &interrupt, &|_| {}).unwrap();
        let dir = TempDir::new_in(cache.root()).unwrap();
        assert_eq!(unpack(&path, dir.path(), &Interrupt::default()).unwrap(), source.kernel());
    }

    #[rstest]
    #[case(DebianSelector::Suite("bookworm".into()), (6, 1))]
    #[case(DebianSelector::Suite("trixie".into()), (6, 12))]
    #[case(DebianSelector::Suite("trixie-backports".into()), (7, 3))]
    #[case(version("6.12"), (6, 12))]
    #[case(version("6.1.192"), (6, 1))]
    #[ignore = "needs the package registry"]
    fn a_source_is_found_by_its_suite_or_version(
        #[case] selector: DebianSelector,
        #[case] series: (u32, u32),
    ) {
        let cache = Cache::open().unwrap();
        let source = find(&cache, &selector).unwrap();
        assert_eq!(source.kernel().series(), series);
        assert_eq!(source.package(), format!("linux-source-{}.{}", series.0, series.1));
        if let DebianSelector::Version(prefix) = &selector {
            assert!(prefix.matches(source.kernel()));
        }
    }

    #[rstest]
    #[case(
        version("6.12.9999"),
        "find Debian kernel source 6.12.9999: no suite has it; the closest versions are 6.12."
    )]
    #[case(DebianSelector::Suite("warty".into()), "find Debian suite \"warty\": unknown suite")]
    #[ignore = "needs the package registry"]
    fn the_error_for_a_source_that_debian_lacks_offers_others(
        #[case] selector: DebianSelector,
        #[case] message: &str,
    ) {
        let cache = Cache::open().unwrap();
        let error = find(&cache, &selector).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
