//! Looking a kernel or its source up in Debian's archive, and downloading it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::apt::{Apt, AptError};
use super::catalogue::{Catalogue, Content, Package};
use super::mirror::Mirrors;
use super::suite::Suite;
use crate::cache::{Cache, CacheError};
use crate::causes::with_causes;
use crate::interrupt::Interrupt;
use crate::kernel::hash;
use crate::kernel::version::{KernelVersion, VersionPrefix};

/// How long a suite's list of kernels is believed.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);

/// The room of the cache in which packages are, by their SHA-256.
const PACKAGES: &str = "debian";

/// Of the lists, so that another layout of the file is not misread.
const FORMAT: u32 = 2;

/// Why a kernel of Debian could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// No such suite.
    #[error("find Debian suite {name:?}: it is not known; these are: {}", .known.join(", "))]
    UnknownSuite {
        /// As given.
        name: String,
        /// What could be given.
        known: Vec<&'static str>,
    },
    /// The suite's lists could not be fetched.
    #[error("fetch the package lists of Debian {suite}")]
    Lists {
        /// The suite.
        suite: String,
        /// Why.
        source: AptError,
    },
    /// The suite has no list for us, or no kernel in it.
    #[error("find a {content} in Debian {suite}: its package lists hold none for amd64")]
    NoKernel {
        /// What was looked for.
        content: Content,
        /// The suite.
        suite: String,
    },
    /// No kernel of that version anywhere.
    #[error("find Debian {content} {wanted}: no suite has it; near it are {}", .near.join(", "))]
    NoMatch {
        /// What was looked for.
        content: Content,
        /// As given.
        wanted: String,
        /// Versions that could be given.
        near: Vec<String>,
    },
    /// The package could not be fetched.
    #[error("download {package} {version}")]
    Download {
        /// Its name.
        package: String,
        /// Its version.
        version: String,
        /// Why.
        source: AptError,
    },
    /// What came is not what the signed list promised.
    #[error("download {package} {version}: what came is not what the signed list promises")]
    WrongContent {
        /// Its name.
        package: String,
        /// Its version.
        version: String,
    },
    /// apt could not be asked.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The cache directory.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A kernel or a source that was found in the archive.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The suite in whose catalogue it is.
    group: Suite,
    main: Package,
    kernel: KernelVersion,
    /// The package with the configuration of an image that does not hold its own.
    config: Option<Package>,
}

impl Found {
    fn new(group: Suite, listed: &Catalogue, main: &Package, kernel: KernelVersion) -> Self {
        Self { group, main: main.clone(), kernel, config: listed.config_of(main).cloned() }
    }

    pub(crate) fn package(&self) -> &str {
        &self.main.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.main.version
    }

    /// What the package's version says of the kernel's.
    pub(crate) fn kernel(&self) -> KernelVersion {
        self.kernel
    }

    /// The suite in whose list it is: `bookworm-security` rather than `bookworm`.
    pub(crate) fn suite(&self) -> &str {
        &self.main.suite
    }

    /// Names what the kernel and its configuration are made of: the SHA-256 of the package, or of
    /// those of both where there are two.
    pub(crate) fn key(&self) -> String {
        match &self.config {
            Some(config) => {
                hash::of_bytes(format!("{} {}", self.main.sha256, config.sha256).as_bytes())
            }
            None => self.main.sha256.clone(),
        }
    }
}

/// Debian's archive as this host reaches it.
pub(crate) struct Archive<'a> {
    pub(crate) cache: &'a Cache,
    /// Lists from before this moment are fetched anew.
    pub(crate) newer_than: Option<SystemTime>,
    /// The codename of the host, if it is a Debian.
    pub(crate) host_suite: Option<&'a str>,
    pub(crate) progress: &'a dyn Fn(&str),
}

/// A catalogue as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// Seconds since 1970.
    made: u64,
    catalogue: Catalogue,
}

/// A catalogue, and what a person should know about it.
struct Listed {
    catalogue: Catalogue,
    notes: Vec<String>,
}

impl Archive<'_> {
    /// The newest stock kernel of a suite.
    pub(crate) fn of_suite(&self, name: &str) -> Result<Found, DebianError> {
        self.stock_of_suite(name, Content::Image)
    }

    /// The source of the newest stock kernel of a suite.
    pub(crate) fn source_of_suite(&self, name: &str) -> Result<Found, DebianError> {
        self.stock_of_suite(name, Content::Source)
    }

    /// The newest kernel of a version, over all suites.
    pub(crate) fn of_version(&self, wanted: &VersionPrefix) -> Result<Found, DebianError> {
        self.newest_of_version(wanted, Content::Image)
    }

    /// The source of the newest kernel of a version, over all suites.
    pub(crate) fn source_of_version(&self, wanted: &VersionPrefix) -> Result<Found, DebianError> {
        self.newest_of_version(wanted, Content::Source)
    }

    fn stock_of_suite(&self, name: &str, content: Content) -> Result<Found, DebianError> {
        let suite = Suite::find(name, self.host_suite).ok_or_else(|| {
            DebianError::UnknownSuite { name: name.to_owned(), known: Suite::names() }
        })?;
        let lists = Lists::of(self);
        if lists.fresh(&suite).is_none() {
            (self.progress)(&format!("fetching the package lists of Debian {suite}"));
        }
        let listed = lists.get(&suite)?;
        listed.notes.iter().for_each(|note| (self.progress)(note));
        let catalogue = &listed.catalogue;
        let stock = catalogue.stock(content);
        stock
            .and_then(|main| Some((main, main.version_of(content)?)))
            .map(|(main, kernel)| Found::new(suite.clone(), catalogue, main, kernel))
            .ok_or_else(|| DebianError::NoKernel { content, suite: suite.to_string() })
    }

    fn newest_of_version(
        &self,
        wanted: &VersionPrefix,
        content: Content,
    ) -> Result<Found, DebianError> {
        let suites = Suite::searched(self.host_suite);
        let lists = Lists::of(self);
        let missing: Vec<&str> =
            suites.iter().filter(|suite| lists.fresh(suite).is_none()).map(Suite::name).collect();
        if !missing.is_empty() {
            (self.progress)(&format!(
                "fetching the package lists of Debian {}",
                missing.join(", ")
            ));
        }
        // Fetching is waiting for the network, for as many suites as there are.
        let listed: Vec<Result<Listed, DebianError>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                suites.iter().map(|suite| scope.spawn(|| lists.get(suite))).collect();
            running
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });

        let mut best: Option<Found> = None;
        let mut seen = Vec::new();
        let mut failure = None;
        for (suite, listed) in suites.into_iter().zip(listed) {
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) => {
                    (self.progress)(&format!(
                        "looking without Debian {suite}: {}",
                        with_causes(&error)
                    ));
                    failure = Some(error);
                    continue;
                }
            };
            listed.notes.iter().for_each(|note| (self.progress)(note));
            for (package, version) in listed.catalogue.all(content) {
                seen.push(version);
                let better = best.as_ref().is_none_or(|best| package.rank(&best.main).is_gt());
                if wanted.matches(version) && better {
                    best = Some(Found::new(suite.clone(), &listed.catalogue, package, version));
                }
            }
        }
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(failure)) if seen.is_empty() => Err(failure),
            (None, _) => Err(DebianError::NoMatch {
                content,
                wanted: wanted.to_string(),
                near: near(wanted, seen),
            }),
        }
    }

    /// The file of the package with the image, downloaded if it is not in the cache.
    pub(crate) fn fetch_image(&self, found: &Found) -> Result<PathBuf, DebianError> {
        self.fetch(&found.group, &found.main)
    }

    /// The file of the package with the source, downloaded if it is not in the cache.
    pub(crate) fn fetch_source(&self, found: &Found) -> Result<PathBuf, DebianError> {
        self.fetch(&found.group, &found.main)
    }

    /// The file of the package with the configuration, if that is a separate one.
    pub(crate) fn fetch_config(&self, found: &Found) -> Result<Option<PathBuf>, DebianError> {
        found.config.as_ref().map(|package| self.fetch(&found.group, package)).transpose()
    }

    fn fetch(&self, group: &Suite, package: &Package) -> Result<PathBuf, DebianError> {
        let name = format!("{}.deb", package.sha256);
        let path = self.cache.path(PACKAGES, &name);
        if path.is_file() {
            return Ok(path);
        }
        let what = format!("{} {}", package.name, package.version);
        let _lock = self.cache.lock(
            &format!("debian-{}", package.sha256),
            &Interrupt::default(),
            || {
                (self.progress)(&format!("waiting for another perfsec that downloads {what}"));
            },
        )?;
        if path.is_file() {
            return Ok(path);
        }
        let megabytes = package.size.div_ceil(1_000_000);
        let (suite, progress) = (&package.suite, self.progress);
        progress(&format!("downloading {what} from Debian {suite} ({megabytes} MB)"));
        let dir = self.cache.temporary()?;
        let lists = Lists::of(self);
        let download = || {
            let apt = lists.apt(group)?;
            apt.download(&package.name, &package.version, dir.path())
        };
        // Lists that somebody removed from the cache are the one failure that we can mend.
        let file = download()
            .or_else(|error| match lists.fetch(group) {
                Ok(_) => download(),
                Err(_) => Err(error),
            })
            .map_err(|source| DebianError::Download {
                package: package.name.clone(),
                version: package.version.clone(),
                source,
            })?;
        // apt has compared it with the signed list; this compares it with what we call it.
        let right = |file: &PathBuf| hash::of_path(file).is_ok_and(|sum| sum == package.sha256);
        let file = file.filter(right).ok_or_else(|| DebianError::WrongContent {
            package: package.name.clone(),
            version: package.version.clone(),
        })?;
        Ok(self.cache.adopt(PACKAGES, &name, &file)?)
    }
}

/// The catalogues of the suites, kept in the cache. Apart from [`Archive`] because threads share
/// it, which cannot share a terminal.
struct Lists<'a> {
    cache: &'a Cache,
    newer_than: Option<SystemTime>,
}

impl<'a> Lists<'a> {
    fn of(archive: &Archive<'a>) -> Self {
        Self { cache: archive.cache, newer_than: archive.newer_than }
    }

    /// The catalogue of a suite: kept, or fetched; if that fails, the one that is out of date.
    fn get(&self, suite: &Suite) -> Result<Listed, DebianError> {
        if let Some(catalogue) = self.fresh(suite) {
            return Ok(Listed { catalogue, notes: Vec::new() });
        }
        let _lock =
            self.cache.lock(&format!("debian-lists-{suite}"), &Interrupt::default(), || {})?;
        if let Some(catalogue) = self.fresh(suite) {
            return Ok(Listed { catalogue, notes: Vec::new() });
        }
        self.fetch(suite).or_else(|error| match self.kept(suite) {
            Some(kept) => {
                let note = format!("using older package lists of {suite}: {}", with_causes(&error));
                Ok(Listed { catalogue: kept.catalogue, notes: vec![note] })
            }
            None => Err(error),
        })
    }

    /// The kept catalogue, if it is to be believed.
    fn fresh(&self, suite: &Suite) -> Option<Catalogue> {
        let kept = self.kept(suite)?;
        let made = UNIX_EPOCH + Duration::from_secs(kept.made);
        let age = SystemTime::now().duration_since(made).ok()?;
        // What is kept is in whole seconds; a list of this very second is new enough.
        let wanted = self.newer_than.is_none_or(|moment| made + Duration::from_secs(1) > moment);
        (age < BELIEVED && wanted).then_some(kept.catalogue)
    }

    fn kept(&self, suite: &Suite) -> Option<Kept> {
        let text = std::fs::read(self.cache.path("debian-lists", &format!("{suite}.json"))).ok()?;
        serde_json::from_slice::<Kept>(&text).ok().filter(|kept| kept.format == FORMAT)
    }

    fn apt(&self, suite: &Suite) -> Result<Apt, AptError> {
        let dir = self.cache.directory("apt", suite.name())?;
        Apt::prepare(self.cache, &dir, &Mirrors::of_host()?, &suite.parts())
    }

    /// Fetches the lists and makes the catalogue of them.
    fn fetch(&self, suite: &Suite) -> Result<Listed, DebianError> {
        let failed = |source| DebianError::Lists { suite: suite.to_string(), source };
        let apt = self.apt(suite).map_err(failed)?;
        let updated = apt.update();
        let lists = apt.lists().map_err(failed)?;
        let mut notes = Vec::new();
        if let Err(error) = updated {
            // A release without its -updates or -security is still worth having; the lists of the
            // release itself must be of now.
            let missing: Vec<String> = suite
                .parts()
                .into_iter()
                .map(|part| part.name)
                .filter(|name| lists.iter().all(|(listed, _)| listed != name))
                .collect();
            if missing.is_empty() || missing.iter().any(|name| name == suite.name()) {
                return Err(failed(error));
            }
            notes.push(format!("looking without Debian {}: {}", missing.join(", "), error));
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
            return Err(DebianError::NoKernel { content: Content::Image, suite });
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kept = Kept { format: FORMAT, made: now.as_secs(), catalogue };
        let path = self.cache.path("debian-lists", &format!("{suite}.json"));
        let text = serde_json::to_vec(&kept)
            .map_err(|error| self.cache.error("write", &path, error.into()))?;
        self.cache.publish_bytes("debian-lists", &format!("{suite}.json"), &text)?;
        Ok(Listed { catalogue: kept.catalogue, notes })
    }
}

/// Versions to offer instead of one that nobody has: those with the same beginning, else the
/// newest of each series.
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

    use super::*;

    #[rstest]
    #[case("6.12.200", &["6.12.94", "6.12.117"])]
    #[case("6.5", &["5.10.262", "6.1.192", "6.12.117"])]
    #[case("9", &["5.10.262", "6.1.192", "6.12.117"])]
    fn what_is_near_is_offered(#[case] wanted: VersionPrefix, #[case] offered: &[&str]) {
        let versions = ["6.12.94", "5.10.262", "6.1.192", "6.12.117", "6.12.117", "6.1.176"];
        let versions = versions.iter().map(|version| version.parse().unwrap()).collect();
        assert_eq!(near(&wanted, versions), offered);
    }
}
