//! The sources of Debian's kernels, which come as packages.

use std::fmt;
use std::path::PathBuf;

use crate::cache::Cache;
use crate::host::OsRelease;
use crate::kernel::{ArchivePackage, DebianError, ImageOptions, KernelVersion, VersionPrefix};

/// Which source of Debian's somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebianWanted {
    /// That of the newest stock kernel of a suite.
    Suite(String),
    /// That of the newest kernel of a version, over all suites.
    Version(VersionPrefix),
}

/// A package with the source of a kernel, found in Debian's archive and not yet downloaded.
#[derive(Clone, Debug)]
pub struct DebianSource {
    found: ArchivePackage,
}

impl DebianSource {
    /// Looks it up. `progress` is told, in a line without an end, what takes time.
    ///
    /// # Errors
    ///
    /// The suite or the version is not known, or the archive cannot be reached.
    pub fn find(
        wanted: &DebianWanted,
        cache: &Cache,
        options: ImageOptions,
        progress: &dyn Fn(&str),
    ) -> Result<Self, DebianError> {
        let host = OsRelease::detect();
        let archive = options.archive(&host, cache, progress);
        let found = match wanted {
            DebianWanted::Suite(name) => archive.source_of_suite(name)?,
            DebianWanted::Version(prefix) => archive.source_of_version(prefix)?,
        };
        Ok(Self { found })
    }

    /// Downloads the package, if it is not in the cache, and returns the file. It holds what the
    /// signed list promises.
    ///
    /// # Errors
    ///
    /// The archive cannot be reached, or the cache has no room.
    pub fn fetch(
        &self,
        cache: &Cache,
        options: ImageOptions,
        progress: &dyn Fn(&str),
    ) -> Result<PathBuf, DebianError> {
        let host = OsRelease::detect();
        options.archive(&host, cache, progress).fetch_source(&self.found)
    }

    /// The package's name: `linux-source-6.1`.
    pub fn package(&self) -> &str {
        self.found.package()
    }

    /// The package's version: `6.1.192-2`.
    pub fn version(&self) -> &str {
        self.found.version()
    }

    /// The kernel's version, as that of the package tells it.
    pub fn kernel(&self) -> KernelVersion {
        self.found.kernel()
    }

    /// The suite in which it was found.
    pub fn suite(&self) -> &str {
        self.found.suite()
    }

    /// SHA-256 of the package, in hexadecimal: names the source before it is downloaded.
    pub fn sha256(&self) -> String {
        self.found.key()
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

    fn version(prefix: &str) -> DebianWanted {
        DebianWanted::Version(prefix.parse().unwrap())
    }

    #[rstest]
    #[case(version("6.1"), "linux-source-6.1")]
    #[case(version("7.3"), "linux-source-7.3")]
    #[ignore = "needs the package registry and 2 GB"]
    fn a_source_of_debian_is_the_kernel_that_its_package_says(
        #[case] wanted: DebianWanted,
        #[case] package: &str,
    ) {
        let (cache, options) = (Cache::open().unwrap(), ImageOptions::default());
        let source = DebianSource::find(&wanted, &cache, options, &|_| {}).unwrap();
        assert_eq!(source.package(), package);
        let path = source.fetch(&cache, options, &|_| {}).unwrap();
        let dir = TempDir::new_in(cache.root()).unwrap();
        assert_eq!(unpack(&path, dir.path()).unwrap(), source.kernel());
    }

    #[rstest]
    #[case(DebianWanted::Suite("bookworm".into()), (6, 1))]
    #[case(DebianWanted::Suite("trixie".into()), (6, 12))]
    #[case(DebianWanted::Suite("trixie-backports".into()), (7, 3))]
    #[case(version("6.12"), (6, 12))]
    #[case(version("6.1.192"), (6, 1))]
    #[ignore = "needs the package registry"]
    fn a_source_is_found_by_its_suite_or_version(
        #[case] wanted: DebianWanted,
        #[case] series: (u32, u32),
    ) {
        let cache = Cache::open().unwrap();
        let source = DebianSource::find(&wanted, &cache, ImageOptions::default(), &|_| {}).unwrap();
        assert_eq!(source.kernel().series(), series);
        assert_eq!(source.package(), format!("linux-source-{}.{}", series.0, series.1));
        if let DebianWanted::Version(prefix) = &wanted {
            assert!(prefix.matches(source.kernel()));
        }
    }

    #[rstest]
    #[case(
        version("6.12.9999"),
        "find Debian kernel source 6.12.9999: no suite has it; near it are 6.12."
    )]
    #[case(DebianWanted::Suite("warty".into()), "find Debian suite \"warty\": it is not known")]
    #[ignore = "needs the package registry"]
    fn a_source_that_debian_does_not_have_is_told_with_what_it_has(
        #[case] wanted: DebianWanted,
        #[case] said: &str,
    ) {
        let cache = Cache::open().unwrap();
        let error =
            DebianSource::find(&wanted, &cache, ImageOptions::default(), &|_| {}).unwrap_err();
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
