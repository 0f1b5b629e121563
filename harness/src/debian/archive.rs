//! Finds packages in Debian's archive, and downloads them.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::apt::Apt;
use super::catalogue::{Catalogue, Package, PackageKind};
use super::command::AptError;
use super::mirror::Mirrors;
use super::suite::DebianSuite;
use crate::cache::{Cache, CacheError, Lock, Room};
use crate::causes::with_causes;
use crate::interrupt::Interrupt;
use crate::kernel::{DebianSelector, KernelVersion, VersionPrefix, hash};

/// Maximum age of a fresh catalogue.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Version of the cached catalogue's layout and of the packages in it.
const FORMAT: u32 = 3;

/// A package that cannot be found or downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// A suite that perfsec does not know.
    #[error("find Debian suite {name:?}: unknown suite; known are {}", .known.join(", "))]
    UnknownSuite {
        /// As given by the user.
        name: String,
        /// The suites that perfsec knows.
        known: Vec<&'static str>,
    },
    /// The suite's lists could not be fetched.
    #[error("fetch the package lists of Debian {suite}")]
    Lists {
        /// The suite.
        suite: String,
        /// apt's error.
        source: AptError,
    },
    /// The lists of the suite have no kernel for amd64.
    #[error("find a {kind} in Debian {suite}: its package lists have none for amd64")]
    NoKernel {
        /// Image or source.
        kind: PackageKind,
        /// The suite.
        suite: String,
    },
    /// No suite has a kernel of that version.
    #[error(
        "find Debian {kind} {wanted}: no suite has it; the closest versions are {}",
        .near.join(", ")
    )]
    NoMatch {
        /// Image or source.
        kind: PackageKind,
        /// As given by the user.
        wanted: String,
        /// Close versions, oldest first.
        near: Vec<String>,
    },
    /// The lists of the suite do not have the package.
    #[error("find {package} in Debian {suite}: its package lists do not have it")]
    NoPackage {
        /// The package's possible names.
        package: String,
        /// The suite.
        suite: String,
    },
    /// No suite has this version of the package.
    #[error(
        "find {package} {wanted} in Debian: no suite has it; they have {}",
        .known.join(", ")
    )]
    NoVersion {
        /// Package name.
        package: String,
        /// As given by the user.
        wanted: String,
        /// The versions of all suites, oldest first.
        known: Vec<String>,
    },
    /// The package could not be downloaded.
    #[error("download {package} {version}")]
    Download {
        /// Package name.
        package: String,
        /// Package version.
        version: String,
        /// apt's error.
        source: AptError,
    },
    /// The SHA-256 of the file is not that of the signed list.
    #[error("download {package} {version}: the file does not match the signed package list")]
    WrongContent {
        /// Package name.
        package: String,
        /// Package version.
        version: String,
    },
    /// apt could not be run.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The cache failed, or the user interrupted the wait for another perfsec.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A kernel or a source in the archive.
#[derive(Clone, Debug)]
pub(crate) struct ArchivePackage {
    /// The suite whose catalogue lists it.
    group: DebianSuite,
    main: Package,
    kernel: KernelVersion,
    /// The package with the configuration, for an image package without one.
    config: Option<Package>,
}

impl ArchivePackage {
    fn new(group: DebianSuite, listed: &Catalogue, main: &Package, kernel: KernelVersion) -> Self {
        Self { group, main: main.clone(), kernel, config: listed.config_of(main).cloned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.main.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.main.version
    }

    /// Kernel version, from the package version.
    pub(crate) fn kernel(&self) -> KernelVersion {
        self.kernel
    }

    /// The suite that lists it: `bookworm-security` rather than `bookworm`.
    pub(crate) fn suite(&self) -> &str {
        &self.main.suite
    }

    /// The cache key of kernel and configuration: the SHA-256 of the package, or of the sums of
    /// both packages if there are two.
    pub(crate) fn key(&self) -> String {
        match &self.config {
            Some(config) => {
                hash::sha256(format!("{} {}", self.main.sha256, config.sha256).as_bytes())
            }
            None => self.main.sha256.clone(),
        }
    }
}

/// Debian's archive, reached through the host's mirrors.
pub(crate) struct Archive<'a> {
    pub(crate) cache: &'a Cache,
    /// Catalogues older than this are fetched again.
    pub(crate) newer_than: Option<SystemTime>,
    /// The host's codename, if it runs Debian.
    pub(crate) host_suite: Option<&'a str>,
    /// Ends the wait for another perfsec that fetches or downloads the same.
    pub(crate) interrupt: &'a Interrupt,
    /// Gets a line, without a newline, before slow steps.
    pub(crate) progress: &'a dyn Fn(&str),
}

/// A catalogue as it is kept.
#[derive(Serialize, Deserialize)]
struct CachedCatalogue {
    format: u32,
    /// Seconds since 1970.
    made: u64,
    catalogue: Catalogue,
}

/// A catalogue, with warnings for the user.
struct AnnotatedCatalogue {
    catalogue: Catalogue,
    notes: Vec<String>,
}

impl Archive<'_> {
    /// Finds the newest kernel, or its source, that matches.
    pub(crate) fn find(
        &self,
        selector: &DebianSelector,
        kind: PackageKind,
    ) -> Result<ArchivePackage, DebianError> {
        match selector {
            DebianSelector::Suite(name) => self.find_in_suite(name, kind),
            DebianSelector::Version(prefix) => self.find_version(prefix, kind),
        }
    }

    fn find_in_suite(&self, name: &str, kind: PackageKind) -> Result<ArchivePackage, DebianError> {
        let (suite, catalogue) = self.catalogue(name)?;
        let stock = catalogue.stock(kind);
        stock
            .and_then(|main| Some((main, main.kernel_version(kind)?)))
            .map(|(main, kernel)| ArchivePackage::new(suite.clone(), &catalogue, main, kernel))
            .ok_or_else(|| DebianError::NoKernel { kind, suite: suite.to_string() })
    }

    fn find_version(
        &self,
        wanted: &VersionPrefix,
        kind: PackageKind,
    ) -> Result<ArchivePackage, DebianError> {
        let mut best: Option<ArchivePackage> = None;
        let mut seen = Vec::new();
        let mut take = |suite: &DebianSuite, catalogue: &Catalogue| {
            for (package, version) in catalogue.all(kind) {
                seen.push(version);
                let better = best.as_ref().is_none_or(|best| package.rank(&best.main).is_gt());
                if wanted.matches(version) && better {
                    best = Some(ArchivePackage::new(suite.clone(), catalogue, package, version));
                }
            }
        };
        let failure = self.search(&mut take)?;
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(failure)) if seen.is_empty() => Err(failure),
            (None, _) => Err(DebianError::NoMatch {
                kind,
                wanted: wanted.to_string(),
                near: near(wanted, seen),
            }),
        }
    }

    /// The suite with this name, and its catalogue.
    pub(super) fn catalogue(&self, name: &str) -> Result<(DebianSuite, Catalogue), DebianError> {
        let suite = DebianSuite::find(name, self.host_suite).ok_or_else(|| {
            DebianError::UnknownSuite { name: name.to_owned(), known: DebianSuite::names() }
        })?;
        let catalogues = CatalogueCache::new(self);
        if catalogues.load_fresh(&suite).is_none() {
            (self.progress)(&format!("fetching the package lists of Debian {suite}"));
        }
        let listed = catalogues.get(&suite)?;
        listed.notes.iter().for_each(|note| (self.progress)(note));
        Ok((suite, listed.catalogue))
    }

    /// Calls `take` with the catalogue of every suite that a search includes. Returns the failure
    /// to fetch one of them, if any.
    pub(super) fn search(
        &self,
        take: &mut dyn FnMut(&DebianSuite, &Catalogue),
    ) -> Result<Option<DebianError>, DebianError> {
        let suites = DebianSuite::search_list(self.host_suite);
        let catalogues = CatalogueCache::new(self);
        let stale = |suite: &&DebianSuite| catalogues.load_fresh(suite).is_none();
        let missing: Vec<&str> = suites.iter().filter(stale).map(DebianSuite::name).collect();
        if !missing.is_empty() {
            (self.progress)(&format!(
                "fetching the package lists of Debian {}",
                missing.join(", ")
            ));
        }
        // A fetch mostly waits for the network, so all suites are fetched at once.
        let listed: Vec<Result<AnnotatedCatalogue, DebianError>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                suites.iter().map(|suite| scope.spawn(|| catalogues.get(suite))).collect();
            running
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut failure = None;
        for (suite, listed) in suites.iter().zip(listed) {
            match listed {
                Ok(listed) => {
                    listed.notes.iter().for_each(|note| (self.progress)(note));
                    take(suite, &listed.catalogue);
                }
                Err(error @ DebianError::Cache(CacheError::Interrupted)) => return Err(error),
                Err(error) => {
                    (self.progress)(&format!(
                        "searching without Debian {suite}: {}",
                        with_causes(&error)
                    ));
                    failure = Some(error);
                }
            }
        }
        Ok(failure)
    }

    /// Downloads the package with the image or the source, unless it is in the cache; returns the
    /// file.
    pub(crate) fn fetch(&self, found: &ArchivePackage) -> Result<PathBuf, DebianError> {
        self.fetch_package(&found.group, &found.main)
    }

    /// The same for the package with the configuration, if there is a separate one.
    pub(crate) fn fetch_config(
        &self,
        found: &ArchivePackage,
    ) -> Result<Option<PathBuf>, DebianError> {
        let config = found.config.as_ref();
        config.map(|package| self.fetch_package(&found.group, package)).transpose()
    }

    pub(super) fn fetch_package(
        &self,
        group: &DebianSuite,
        package: &Package,
    ) -> Result<PathBuf, DebianError> {
        let name = format!("{}.deb", package.sha256);
        // Older versions of perfsec sealed no package. Its SHA-256 is in the signed list.
        let find = || self.cache.find_known(Room::DEBIAN, &name, &package.sha256);
        if let Some(path) = find() {
            return Ok(path);
        }
        let what = format!("{} {}", package.name, package.version);
        let _lock =
            self.cache.lock(&format!("debian-{}", package.sha256), self.interrupt, || {
                (self.progress)(&format!("waiting for another perfsec that downloads {what}"));
            })?;
        if let Some(path) = find() {
            return Ok(path);
        }
        let megabytes = package.size.div_ceil(1_000_000);
        let (suite, progress) = (&package.suite, self.progress);
        progress(&format!("downloading {what} from Debian {suite} ({megabytes} MB)"));
        let dir = self.cache.temporary()?;
        let catalogues = CatalogueCache::new(self);
        let download = || {
            let apt = catalogues.prepare_apt(group)?;
            apt.download(&package.name, &package.version, dir.path())
        };
        // apt's lists may have been deleted from the cache: fetch them and try again.
        let file = download()
            .or_else(|error| match catalogues.fetch_again(group) {
                Ok(_) => download(),
                Err(_) => Err(error),
            })
            .map_err(|source| DebianError::Download {
                package: package.name.clone(),
                version: package.version.clone(),
                source,
            })?;
        // apt has compared it with the signed list. The catalogue, which names the cache entry,
        // may be older.
        let matches =
            |file: &PathBuf| hash::sha256_path(file).is_ok_and(|sum| sum == package.sha256);
        let file = file.filter(matches).ok_or_else(|| DebianError::WrongContent {
            package: package.name.clone(),
            version: package.version.clone(),
        })?;
        Ok(self.cache.adopt(Room::DEBIAN, &name, &file, package.sha256.clone())?)
    }
}

/// The catalogues of the suites, in the cache. Unlike [`Archive`], which has the progress callback,
/// it can be shared between threads.
struct CatalogueCache<'a> {
    cache: &'a Cache,
    newer_than: Option<SystemTime>,
    interrupt: &'a Interrupt,
}

impl<'a> CatalogueCache<'a> {
    fn new(archive: &Archive<'a>) -> Self {
        let Archive { cache, newer_than, interrupt, .. } = *archive;
        Self { cache, newer_than, interrupt }
    }

    /// The catalogue of a suite, from the cache or fetched. If the fetch fails, falls back to a
    /// stale one.
    fn get(&self, suite: &DebianSuite) -> Result<AnnotatedCatalogue, DebianError> {
        if let Some(catalogue) = self.load_fresh(suite) {
            return Ok(AnnotatedCatalogue { catalogue, notes: Vec::new() });
        }
        let _lock = self.lock(suite)?;
        if let Some(catalogue) = self.load_fresh(suite) {
            return Ok(AnnotatedCatalogue { catalogue, notes: Vec::new() });
        }
        self.fetch(suite).or_else(|error| match self.load(suite) {
            Some(cached) => {
                let note = format!("using older package lists of {suite}: {}", with_causes(&error));
                Ok(AnnotatedCatalogue { catalogue: cached.catalogue, notes: vec![note] })
            }
            None => Err(error),
        })
    }

    /// Fetches the lists of a suite, however old the cached catalogue is.
    fn fetch_again(&self, suite: &DebianSuite) -> Result<AnnotatedCatalogue, DebianError> {
        let _lock = self.lock(suite)?;
        self.fetch(suite)
    }

    /// The lock of a suite's lists, held while they are fetched.
    fn lock(&self, suite: &DebianSuite) -> Result<Lock, CacheError> {
        self.cache.lock(&format!("debian-lists-{suite}"), self.interrupt, || {})
    }

    /// The cached catalogue, if it is recent enough.
    fn load_fresh(&self, suite: &DebianSuite) -> Option<Catalogue> {
        let cached = self.load(suite)?;
        let made = UNIX_EPOCH + Duration::from_secs(cached.made);
        let age = SystemTime::now().duration_since(made).ok()?;
        // `made` is in whole seconds, so a list of the same second counts as newer.
        let wanted = self.newer_than.is_none_or(|moment| made + Duration::from_secs(1) > moment);
        (age < FRESH && wanted).then_some(cached.catalogue)
    }

    fn load(&self, suite: &DebianSuite) -> Option<CachedCatalogue> {
        let name = catalogue_name(suite);
        let cached: CachedCatalogue = self.cache.read_json(Room::DEBIAN_LISTS, &name)?;
        (cached.format == FORMAT).then_some(cached)
    }

    fn keep(&self, suite: &DebianSuite, cached: &CachedCatalogue) -> Result<(), CacheError> {
        self.cache.publish_json(Room::DEBIAN_LISTS, &catalogue_name(suite), cached).map(drop)
    }

    fn prepare_apt(&self, suite: &DebianSuite) -> Result<Apt, AptError> {
        let dir = self.cache.directory(Room::APT, suite.name())?;
        Apt::prepare(self.cache, &dir, &Mirrors::detect()?, &suite.parts())
    }

    /// Fetches the package lists and builds the catalogue from them.
    fn fetch(&self, suite: &DebianSuite) -> Result<AnnotatedCatalogue, DebianError> {
        let failed = |source| DebianError::Lists { suite: suite.to_string(), source };
        let apt = self.prepare_apt(suite).map_err(failed)?;
        let updated = apt.update();
        let lists = apt.lists().map_err(failed)?;
        let mut notes = Vec::new();
        if let Err(error) = updated {
            // A missing -updates or -security list is only a warning; the lists of the release
            // itself must be up to date.
            let missing: Vec<String> = suite
                .parts()
                .into_iter()
                .map(|part| part.name)
                .filter(|name| lists.iter().all(|(listed, _)| listed != name))
                .collect();
            if missing.is_empty() || missing.iter().any(|name| name == suite.name()) {
                return Err(failed(error));
            }
            notes.push(format!("searching without Debian {}: {}", missing.join(", "), error));
        }
        let mut catalogue = Catalogue::default();
        for (part, file) in lists {
            apt.read_list(&file, |paragraph| {
                if let Some(package) = Package::parse(paragraph, &part) {
                    catalogue.add(package);
                }
            })
            .map_err(failed)?;
        }
        if catalogue.is_empty() {
            let suite = suite.to_string();
            return Err(DebianError::NoKernel { kind: PackageKind::Image, suite });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let cached = CachedCatalogue { format: FORMAT, made: now.as_secs(), catalogue };
        self.keep(suite, &cached)?;
        Ok(AnnotatedCatalogue { catalogue: cached.catalogue, notes })
    }
}

/// The name of a catalogue in the cache. It has the format: of two versions of perfsec, neither
/// replaces the other's.
fn catalogue_name(suite: &DebianSuite) -> String {
    format!("{suite}.{FORMAT}.json")
}

/// The versions to offer for one that no suite has: those of the same series, else the newest of
/// each series.
fn near(wanted: &VersionPrefix, mut versions: Vec<KernelVersion>) -> Vec<String> {
    const MOST: usize = 12;
    versions.sort_unstable();
    versions.dedup();
    let nearest = versions.iter().map(|version| wanted.nearness(*version)).max().unwrap_or(0);
    let mut near: Vec<KernelVersion> = if nearest < 2 {
        versions
            .chunk_by(|a, b| a.series() == b.series())
            .filter_map(|run| run.last())
            .copied()
            .collect()
    } else {
        versions.into_iter().filter(|version| wanted.nearness(*version) == nearest).collect()
    };
    let surplus = near.len().saturating_sub(MOST);
    near.drain(..surplus);
    near.iter().map(KernelVersion::to_string).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;

    fn archive<'a>(cache: &'a Cache, interrupt: &'a Interrupt) -> Archive<'a> {
        Archive { cache, newer_than: None, host_suite: None, interrupt, progress: &|_| {} }
    }

    /// A cache whose locks of these names are held by somebody else, and an interrupt that was
    /// raised.
    fn locked(names: impl Iterator<Item = String>) -> (TempDir, Cache, Vec<Lock>, Interrupt) {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        let lock = |name: String| cache.lock(&name, &Interrupt::default(), || {}).unwrap();
        let locks = names.map(lock).collect();
        let interrupt = Interrupt::default();
        interrupt.raise();
        (dir, cache, locks, interrupt)
    }

    #[rstest]
    #[case(DebianSelector::Suite("bookworm".to_owned()))]
    #[case(DebianSelector::Version("6.12".parse().unwrap()))]
    fn an_interrupt_ends_the_wait_for_package_lists(#[case] selector: DebianSelector) {
        let suites = DebianSuite::search_list(None);
        let names = suites.iter().map(|suite| format!("debian-lists-{suite}"));
        let (_dir, cache, _locks, interrupt) = locked(names);
        let error = archive(&cache, &interrupt).find(&selector, PackageKind::Image).unwrap_err();
        assert!(matches!(error, DebianError::Cache(CacheError::Interrupted)), "{error}");
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_download() {
        let (_dir, cache, _locks, interrupt) = locked(["debian-abc".to_owned()].into_iter());
        let text = "Package: linux-image-6.12.94+deb13-amd64\nVersion: 6.12.94-1\nSize: 10\n\
            SHA256: abc\n";
        let package = Package::parse(text, "trixie").unwrap();
        let suite = DebianSuite::find("trixie", None).unwrap();
        let version = KernelVersion::new(6, 12, 94);
        let found = ArchivePackage::new(suite, &Catalogue::default(), &package, version);
        let error = archive(&cache, &interrupt).fetch(&found).unwrap_err();
        assert!(matches!(error, DebianError::Cache(CacheError::Interrupted)), "{error}");
    }

    #[test]
    fn a_damaged_package_list_is_not_used() {
        let (_dir, cache, _locks, interrupt) = locked(std::iter::empty());
        let catalogues = CatalogueCache::new(&archive(&cache, &interrupt));
        let suite = DebianSuite::find("trixie", None).unwrap();
        let keep = || {
            let catalogue = Catalogue::default();
            let made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            catalogues.keep(&suite, &CachedCatalogue { format: FORMAT, made, catalogue }).unwrap();
        };
        let is_used = || catalogues.load_fresh(&suite).is_some();
        spoil::is_never_believed(&cache, Room::DEBIAN_LISTS, keep, is_used);
    }

    #[rstest]
    #[case::whole("package", true)]
    #[case::cut_off("pack", false)]
    #[case::changed("p4ckage", false)]
    fn only_a_package_that_matches_the_signed_list_is_used(
        #[case] content: &str,
        #[case] is_used: bool,
    ) {
        let sha256 = hash::sha256(b"package");
        let (_dir, cache, _locks, interrupt) = locked([format!("debian-{sha256}")].into_iter());
        let path = cache.directory(Room::DEBIAN, "").unwrap().join(format!("{sha256}.deb"));
        std::fs::write(&path, content).unwrap();
        let text = format!("Package: linux-image-6\nVersion: 6-1\nSize: 10\nSHA256: {sha256}\n");
        let package = Package::parse(&text, "trixie").unwrap();
        let suite = DebianSuite::find("trixie", None).unwrap();
        let fetched = archive(&cache, &interrupt).fetch_package(&suite, &package);
        // Otherwise it is downloaded, which waits for a lock.
        assert_eq!(fetched.ok(), is_used.then_some(path));
    }

    #[rstest]
    #[case("6.12.200", &["6.12.94", "6.12.117"])]
    #[case("6.5", &["5.10.262", "6.1.192", "6.12.117"])]
    #[case("9", &["5.10.262", "6.1.192", "6.12.117"])]
    fn close_versions_are_offered(#[case] wanted: VersionPrefix, #[case] offered: &[&str]) {
        let versions = ["6.12.94", "5.10.262", "6.1.192", "6.12.117", "6.12.117", "6.1.176"];
        let versions = versions.iter().map(|version| version.parse().unwrap()).collect();
        assert_eq!(near(&wanted, versions), offered);
    }
}
