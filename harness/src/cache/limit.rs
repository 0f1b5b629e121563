//! The size limit of the cache, and what is deleted to keep to it.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::rooms::{Holds, ROOMS};
use super::{Cache, CacheError, ExclusiveCache, Room};
use crate::foreign;

/// Environment variable with the size limit of the cache.
pub const CACHE_LIMIT_VARIABLE: &str = "PERFSEC_CACHE_LIMIT";

/// The limit of a user who sets none, in GiB: kernels of a dozen versions with their snapshots,
/// and two source trees.
const DEFAULT: u64 = 20;

/// Entries from this many bytes on are noted as growth of the cache.
pub(super) const LARGE: u64 = 1 << 20;

/// The time for which the size of directories is remembered while nobody uses them. Walking a
/// kernel tree with its objects takes about a second.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The file that remembers the last measurement.
const MEASURED: &str = "measured";
/// The file that says that the cache has grown since.
const GROWN: &str = "grown";

/// The size limit of a cache, without its run records, which are never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Bytes; `None` if there is no limit.
    pub bytes: Option<u64>,
}

/// A measurement, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Measured {
    /// Bytes of directories.
    trees: u64,
    /// The limit that it was compared with.
    limit: Limit,
}

impl Limit {
    /// The limit in `PERFSEC_CACHE_LIMIT`, or the default.
    ///
    /// # Errors
    ///
    /// [`CacheError::Limit`] if it is not a size.
    pub fn of_environment() -> Result<Self, CacheError> {
        match std::env::var_os(CACHE_LIMIT_VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => Self::parse(&value.to_string_lossy()),
            None => Ok(Self { bytes: Some(DEFAULT << 30) }),
        }
    }

    fn parse(value: &str) -> Result<Self, CacheError> {
        match value.trim() {
            "none" | "0" => Ok(Self { bytes: None }),
            size => match size.parse::<ByteSize>() {
                Ok(size) => Ok(Self { bytes: Some(size.as_u64()) }),
                Err(_) => Err(CacheError::Limit { value: value.to_owned() }),
            },
        }
    }

    /// Keeps the cache in this directory to the limit, if that is due and nobody uses the cache.
    /// An error does no harm: the next perfsec tries again.
    pub(super) fn enforce(self, root: &Path) {
        let Some(limit) = self.bytes.filter(|_| root.is_dir()) else { return };
        let remembered = Measured::remembered(root).filter(|it| it.limit == self);
        let grown = root.join(GROWN);
        if remembered.is_some() && !grown.exists() {
            return;
        }
        let Ok(cache) = Cache::exclusively(root) else { return };
        let _ = fs::remove_file(grown);
        let files = cache.cache.limited_rooms().filter(|room| room.holds != Holds::Trees);
        let files = files.map(|room| Ok(cache.cache.usage(room)?.bytes));
        let Ok(files) = files.sum::<Result<u64, CacheError>>() else { return };
        if remembered.is_none_or(|it| files + it.trees > limit)
            && let Ok(trees) = cache.evict(limit)
        {
            Measured { trees, limit: self }.remember(root);
        }
    }
}

impl Measured {
    /// The last measurement, unless it is too old.
    fn remembered(root: &Path) -> Option<Self> {
        let path = root.join(MEASURED);
        let age = SystemTime::now().duration_since(fs::metadata(&path).ok()?.modified().ok()?);
        age.ok().filter(|age| *age < REMEMBERED)?;
        serde_json::from_slice(&foreign::read(&path, &foreign::CACHED).ok()?).ok()
    }

    fn remember(&self, root: &Path) {
        // Otherwise the next perfsec measures again.
        let _ = serde_json::to_vec(self).map(|text| fs::write(root.join(MEASURED), text));
    }
}

/// Notes that the cache in this directory has grown, so that the next perfsec measures it. If that
/// fails, it is measured when the last measurement is too old.
pub(super) fn note_growth(root: &Path, holds: Holds) {
    let _ = match holds {
        Holds::Trees => fs::remove_file(root.join(MEASURED)),
        _ => File::create(root.join(GROWN)).map(drop),
    };
}

impl ExclusiveCache {
    /// Deletes the entries that were used longest ago until at most `limit` bytes are left, without
    /// the run records. Returns the bytes of the directories that are left.
    fn evict(&self, limit: u64) -> Result<u64, CacheError> {
        let mut all = Vec::new();
        for room in self.cache.limited_rooms() {
            all.extend(self.cache.held(room)?.into_iter().map(|held| (room, held)));
        }
        all.sort_by(|(_, a), (_, b)| (a.used, &a.name).cmp(&(b.used, &b.name)));
        let mut sum: u64 = all.iter().map(|(_, held)| held.bytes).sum();
        let mut trees = 0;
        for (room, held) in all {
            if sum > limit {
                self.delete(room, &held.name)?;
                sum -= held.bytes;
            } else if room.holds == Holds::Trees {
                trees += held.bytes;
            }
        }
        Ok(trees)
    }
}

impl Cache {
    /// The rooms that the limit is about. One that the user replaced by a symbolic link is not in
    /// the cache.
    fn limited_rooms(&self) -> impl Iterator<Item = Room> {
        let linked = |room: Room| self.root().join(room.name).is_symlink();
        ROOMS.iter().copied().filter(move |room| !room.is_irreplaceable() && !linked(*room))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::{days_ago, spoil};

    const MIB: u64 = 1 << 20;

    #[rstest]
    #[case("20GiB", Some(20 << 30))]
    #[case("500 MB", Some(500_000_000))]
    #[case("1000", Some(1000))]
    #[case("none", None)]
    #[case("0", None)]
    fn a_limit_is_a_size_or_none(#[case] value: &str, #[case] bytes: Option<u64>) {
        assert_eq!(Limit::parse(value).unwrap().bytes, bytes);
    }

    #[rstest]
    #[case("much")]
    #[case("-1")]
    #[case("5 parsecs")]
    fn the_error_quotes_what_is_no_size(#[case] value: &str) {
        let error = Limit::parse(value).unwrap_err().to_string();
        assert!(error.contains(value), "{error}");
    }

    /// A cache with entries of 1 MiB, each with the days since its last use.
    fn filled(entries: &[(Room, &str, u32)]) -> (TempDir, PathBuf) {
        let place = TempDir::new().unwrap();
        let root = place.path().join("cache");
        let cache = Cache::at(&root).unwrap();
        for (room, name, days) in entries {
            match room.holds {
                Holds::Entries => {
                    let bytes = vec![1; MIB as usize];
                    cache.publish(*room, name, &bytes).unwrap();
                }
                _ => {
                    let tree = cache.directory(*room, name).unwrap();
                    fs::write(tree.join("file"), vec![1; MIB as usize]).unwrap();
                }
            }
            spoil::set_last_use(&cache, *room, name, days_ago(*days));
        }
        (place, root)
    }

    fn left(root: &Path, room: Room) -> Vec<String> {
        let names = fs::read_dir(root.join(room.name)).unwrap();
        let mut names: Vec<_> =
            names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Enforces it when nobody uses the cache: a test beside this one makes a process, which has our
    /// locks until it executes a program.
    fn enforce(limit: Limit, root: &Path) {
        while Cache::exclusively(root).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        limit.enforce(root);
    }

    const ENTRIES: &[(Room, &str, u32)] = &[
        (Room::SNAPSHOTS, "new", 1),
        (Room::SNAPSHOTS, "old", 3),
        (Room::SOURCE, "older", 5),
        (Room::RUNS, "oldest", 9),
    ];

    #[test]
    fn what_was_used_longest_ago_is_deleted_first_and_records_never() {
        let (_place, root) = filled(ENTRIES);
        enforce(Limit::parse("1.5 MiB").unwrap(), &root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new"]);
        assert!(left(&root, Room::SOURCE).is_empty());
        assert_eq!(left(&root, Room::RUNS), ["oldest"]);
        assert!(!root.join("seals/snapshots/old").exists());
        assert!(Cache::at(&root).unwrap().find(Room::SNAPSHOTS, "new").is_some());
    }

    #[rstest]
    #[case::enough("4 MiB")]
    #[case::no_limit("none")]
    fn nothing_is_deleted_within_the_limit(#[case] limit: &str) {
        let (_place, root) = filled(ENTRIES);
        enforce(Limit::parse(limit).unwrap(), &root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new", "old"]);
        assert_eq!(left(&root, Room::SOURCE), ["older"]);
    }

    #[test]
    fn nothing_is_deleted_while_another_perfsec_uses_the_cache() {
        let (_place, root) = filled(ENTRIES);
        let user = Cache::at(&root).unwrap();
        let limit = Limit::parse("1 KiB").unwrap();
        limit.enforce(&root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new", "old"]);
        drop(user);
        enforce(limit, &root);
        assert!(left(&root, Room::SNAPSHOTS).is_empty());
    }

    #[test]
    fn the_cache_is_measured_when_it_has_grown_or_has_another_limit() {
        let (_place, root) = filled(ENTRIES);
        let limit = Limit::parse("4 MiB").unwrap();
        enforce(limit, &root);
        let cache = Cache::at(&root).unwrap();
        // Nobody noted this growth.
        fs::write(cache.file(Room::SNAPSHOTS, "stray"), vec![1; 2 * MIB as usize]).unwrap();
        drop(cache);
        enforce(limit, &root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new", "old", "stray"]);
        Cache::at(&root).unwrap().publish(Room::KERNEL, "k", &vec![1; MIB as usize]).unwrap();
        enforce(limit, &root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new", "stray"]);
        assert!(left(&root, Room::SOURCE).is_empty());
        enforce(Limit::parse("1 KiB").unwrap(), &root);
        assert!(left(&root, Room::SNAPSHOTS).is_empty());
    }

    #[test]
    fn a_tree_that_is_used_is_measured() {
        let (_place, root) = filled(ENTRIES);
        let limit = Limit::parse("4.5 MiB").unwrap();
        enforce(limit, &root);
        let tree = Cache::at(&root).unwrap().directory(Room::SOURCE, "older").unwrap();
        fs::write(tree.join("objects"), vec![1; 2 * MIB as usize]).unwrap();
        enforce(limit, &root);
        assert_eq!(left(&root, Room::SNAPSHOTS), ["new"]);
        assert_eq!(left(&root, Room::SOURCE), ["older"]);
    }
}
