//! Images of guest systems in the cache.
//!
//! An image is built in a temporary directory and enters the cache whole, with a seal, so that an
//! interrupted build leaves nothing. A run reads it and never writes.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::archive::{self, ArchiveError};
use super::bootstrap::{self, CUSTOMIZE};
use super::error::GuestError;
use super::packages;
use super::spec::GuestName;
use crate::cache::{Cache, Room};
use crate::debian;
use crate::host::{self, Need, OsRelease};
use crate::interrupt::Interrupt;
use crate::kernel::hash;

/// Version of images. Increment it when the same inputs would give another image.
const FORMAT: u32 = 1;

/// Characters of an image's identity that people see.
const SHOWN: usize = 12;

/// Where images come from and who waits for them.
#[derive(Clone, Copy)]
pub struct Obtaining<'a> {
    /// The cache of images.
    pub cache: &'a Cache,
    /// True to build the image anew, from the packages that the suite has now.
    pub refresh: bool,
    /// Stops a build.
    pub interrupt: &'a Interrupt,
    /// Gets a line before slow steps.
    pub progress: &'a dyn Fn(&str),
}

/// An image of a guest system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestImage {
    /// The name by which it was requested.
    pub name: GuestName,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: String,
    /// The packages in it.
    pub packages: Vec<GuestPackage>,
    /// The archive: a cpio that the kernel unpacks as its root.
    pub archive: PathBuf,
    /// The archive's length in bytes.
    pub bytes: u64,
    /// Its binary policy.
    pub policy: PathBuf,
}

/// A package of a guest system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// An image as it is listed in the cache.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: GuestName,
    archive: String,
    bytes: u64,
    policy: String,
    packages: Vec<GuestPackage>,
}

impl GuestImage {
    /// The image of a system, from the cache or built.
    ///
    /// # Errors
    ///
    /// If it cannot be built.
    pub fn obtain(name: &GuestName, obtaining: &Obtaining<'_>) -> Result<Self, GuestError> {
        let Obtaining { cache, refresh, interrupt, progress } = *obtaining;
        let key = key(name);
        if !refresh && let Some(image) = Self::find(&key, cache) {
            return Ok(image);
        }
        let os = OsRelease::detect();
        let suite = debian::whole_suite(name.suite(), os.debian_suite())?;
        let suite = suite.ok_or_else(|| GuestError::NotWhole { suite: name.suite().to_owned() })?;
        host::require(&[Need::Guests])?;
        let _lock = cache.lock(&format!("guest-{key}"), interrupt, || {
            progress(&format!("waiting for another perfsec that builds {name}"));
        })?;
        if !refresh && let Some(image) = Self::find(&key, cache) {
            return Ok(image);
        }
        progress(&format!("building the guest system {name}: some minutes, once"));
        Self::build(name, &debian::sources(&suite)?, &key, obtaining)
    }

    fn find(key: &str, cache: &Cache) -> Option<Self> {
        let entry: Entry = cache.read_json(Room::GUESTS, key)?;
        let archive = cache.find(Room::GUESTS, &file(&entry.archive, "cpio"))?;
        let policy = cache.find(Room::GUESTS, &file(&entry.policy, "policy"))?;
        let Entry { name, archive: sha256, bytes, packages, .. } = entry;
        Some(Self { name, sha256, packages, archive, bytes, policy })
    }

    fn build(
        name: &GuestName,
        sources: &debian::Sources,
        key: &str,
        obtaining: &Obtaining<'_>,
    ) -> Result<Self, GuestError> {
        let Obtaining { cache, interrupt, .. } = *obtaining;
        let suite = name.suite();
        let place = cache.temporary()?;
        let path = place.path().join("cpio");
        let failed = |source| cache.error("write", &path, source);
        let file_options = || File::options().read(true).write(true).create_new(true).open(&path);
        let mut output = file_options().map_err(failed)?;
        let converted = bootstrap::bootstrap(suite, sources, place.path(), interrupt, |tar| {
            archive::convert(BufReader::with_capacity(1 << 18, tar), &mut output)
        })?;
        let contents = converted.map_err(|error| match error {
            ArchiveError::Missing(missing) => {
                GuestError::Incomplete { suite: suite.to_owned(), missing }
            }
            ArchiveError::Read(source) => GuestError::Damaged { suite: suite.to_owned(), source },
            ArchiveError::Write(source) => cache.error("write", &path, source).into(),
        })?;
        output.flush().map_err(failed)?;
        let bytes = output.metadata().map_err(failed)?.len();
        let sha256 = hash::sha256_file(&mut output, interrupt).map_err(failed)?;
        let policy = hash::sha256(&contents.policy);
        cache.publish(Room::GUESTS, &file(&policy, "policy"), &contents.policy)?;
        cache.adopt(Room::GUESTS, &file(&sha256, "cpio"), &path, sha256.clone())?;
        let packages = contents.packages.lines().filter_map(|line| line.split_once('\t'));
        let package = |(name, version): (&str, &str)| GuestPackage {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let entry = Entry {
            name: name.clone(),
            archive: sha256,
            bytes,
            policy,
            packages: packages.map(package).collect(),
        };
        // Last: what it names is there.
        cache.publish_json(Room::GUESTS, key, &entry)?;
        let gone = || {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            cache.error("read", &cache.file(Room::GUESTS, key), source).into()
        };
        Self::find(key, cache).ok_or_else(gone)
    }

    /// The beginning of its identity, for display.
    #[must_use]
    pub fn short(&self) -> &str {
        self.sha256.get(..SHOWN).unwrap_or(&self.sha256)
    }

    /// The version of a package in it.
    #[must_use]
    pub fn version(&self, package: &str) -> Option<&str> {
        let found = self.packages.iter().find(|it| it.name == package);
        found.map(|it| it.version.as_str())
    }
}

/// The name of an entry of the cache: a hash of all that perfsec decides about the image.
fn key(name: &GuestName) -> String {
    let excluded = packages::EXCLUDED.join("\n");
    let parts = [FORMAT.to_string(), name.to_string(), packages::names(), excluded];
    let parts = parts.iter().map(String::as_str).chain([CUSTOMIZE]);
    let text: String = parts.map(|part| format!("{} {part}\n", part.len())).collect();
    hash::sha256(text.as_bytes())
}

fn file(sha256: &str, kind: &str) -> String {
    format!("{sha256}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::spoil;

    fn put(cache: &Cache, name: &GuestName) {
        let (archive, policy) = (hash::sha256(b"archive"), hash::sha256(b"policy"));
        cache.publish(Room::GUESTS, &file(&archive, "cpio"), b"archive").unwrap();
        cache.publish(Room::GUESTS, &file(&policy, "policy"), b"policy").unwrap();
        let packages =
            vec![GuestPackage { name: "linux-perf".to_owned(), version: "6.12".to_owned() }];
        let entry = Entry { name: name.clone(), archive, bytes: 7, policy, packages };
        cache.publish_json(Room::GUESTS, &key(name), &entry).unwrap();
    }

    #[test]
    fn an_image_is_found_with_its_packages_under_the_name_of_its_system() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let name: GuestName = "debian:trixie".parse().unwrap();
        put(&cache, &name);
        let image = GuestImage::find(&key(&name), &cache).unwrap();
        assert_eq!((image.version("linux-perf"), image.version("perf")), (Some("6.12"), None));
        assert_eq!(image.short().len(), SHOWN);
        let other: GuestName = "debian:bookworm".parse().unwrap();
        assert_eq!(GuestImage::find(&key(&other), &cache), None);
    }

    #[test]
    fn a_damaged_image_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let name: GuestName = "debian:trixie".parse().unwrap();
        let is_found = || GuestImage::find(&key(&name), &cache).is_some();
        spoil::is_never_believed(&cache, Room::GUESTS, || put(&cache, &name), is_found);
    }
}
