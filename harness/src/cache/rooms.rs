//! The directories of the cache: what they are for, how much they hold, and clearing them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Cache, CacheError, ExclusiveCache};

/// A directory of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Name of the directory.
    pub name: &'static str,
    /// Its content.
    pub purpose: &'static str,
    /// True if its content cannot be made again, so that it is cleared only by name.
    pub irreplaceable: bool,
}

/// The directories of the cache, without those for temporary files and locks.
pub const ROOMS: &[Room] = &[
    room("snapshots", "guests saved when they were ready, so that the next run need not boot"),
    room("kernel", "kernels as they are booted: unpacked, with their release and configuration"),
    room("builds", "which kernel a tree, a configuration and a compiler make, and build logs"),
    room("source", "repositories in which kernels are built, with their object files"),
    room("debian", "packages from Debian's archive"),
    room("debian-lists", "kernels that Debian's archive has, by suite"),
    room("apt", "state of apt, by suite"),
    room("policies", "compiled policies"),
    room("accel", "the answers of QEMU and KVM on this host"),
    room("series", "which runs `series` need not repeat"),
    Room { name: "runs", purpose: "run records, which reports are made from", irreplaceable: true },
];

const fn room(name: &'static str, purpose: &'static str) -> Room {
    Room { name, purpose, irreplaceable: false }
}

/// The content of a directory of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of entries.
    pub entries: usize,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The oldest and the newest last use of an entry; `None` without entries.
    pub used: Option<(SystemTime, SystemTime)>,
}

impl Room {
    /// The directory of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ROOMS.iter().copied().find(|room| room.name == name)
    }
}

impl Usage {
    fn add(&mut self, bytes: u64, used: SystemTime) {
        self.entries += 1;
        self.bytes += bytes;
        self.used = Some(
            self.used.map_or((used, used), |(oldest, newest)| (oldest.min(used), newest.max(used))),
        );
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
        self.used = match (self.used, other.used) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

impl Cache {
    /// The content of a room. Entries that vanish meanwhile do not count.
    ///
    /// # Errors
    ///
    /// Returns an error if a directory cannot be read.
    pub fn usage(&self, room: Room) -> Result<Usage, CacheError> {
        let mut usage = Usage::default();
        self.entries(room, |_, bytes, used| {
            usage.add(bytes, used);
            Ok(())
        })?;
        Ok(usage)
    }

    /// Calls `each` with the path, the bytes on the disk and the last use of every entry.
    fn entries(
        &self,
        room: Room,
        mut each: impl FnMut(&Path, u64, SystemTime) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let dir = self.path(room.name, "");
        let listed = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(|source| self.error("read", &dir, source))?,
        };
        for entry in listed {
            let path = entry.map_err(|source| self.error("read", &dir, source))?.path();
            match measure(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                measured => {
                    let (bytes, used) =
                        measured.map_err(|source| self.error("read", &path, source))?;
                    each(&path, bytes, used)?;
                }
            }
        }
        Ok(())
    }
}

impl ExclusiveCache {
    /// Deletes the entries of a room that were last used before `limit`, or all. Returns those that
    /// were deleted.
    ///
    /// # Errors
    ///
    /// Returns an error if the room is a symbolic link, which leads out of the cache, or an entry
    /// cannot be deleted.
    pub fn clear(&self, room: Room, limit: Option<SystemTime>) -> Result<Usage, CacheError> {
        let dir = self.cache.root().join(room.name);
        if dir.is_symlink() {
            return Err(CacheError::Link { path: dir });
        }
        let mut deleted = Usage::default();
        self.cache.entries(room, |path, bytes, used| {
            if limit.is_some_and(|limit| used >= limit) {
                return Ok(());
            }
            // Neither follows a symbolic link.
            let removed = match fs::symlink_metadata(path) {
                Ok(data) if data.is_dir() => fs::remove_dir_all(path),
                _ => fs::remove_file(path),
            };
            removed.map_err(|source| self.cache.error("delete", path, source))?;
            deleted.add(bytes, used);
            Ok(())
        })?;
        Ok(deleted)
    }
}

/// Bytes on the disk and the last use of a file or of a directory with all that is in it.
fn measure(path: &Path) -> io::Result<(u64, SystemTime)> {
    const BLOCK: u64 = 512;
    let data = fs::symlink_metadata(path)?;
    let mut total = (data.blocks() * BLOCK, last_use(&data)?);
    if data.is_dir() {
        for entry in fs::read_dir(path)? {
            match measure(&entry?.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                measured => {
                    let (bytes, used) = measured?;
                    total = (total.0 + bytes, total.1.max(used));
                }
            }
        }
    }
    Ok(total)
}

/// The last time that a file was read or written. A directory is read by whoever lists it, so only
/// the last change counts.
fn last_use(data: &Metadata) -> io::Result<SystemTime> {
    let changed = data.modified()?;
    Ok(if data.is_file() { changed.max(data.accessed().unwrap_or(changed)) } else { changed })
}

/// The time that was this many days ago.
#[must_use]
pub fn days_ago(days: u32) -> SystemTime {
    let day = Duration::from_secs(24 * 60 * 60);
    SystemTime::now().checked_sub(day * days).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::interrupt::Interrupt;

    const KERNEL: &str = "kernel";

    fn at(name: &str) -> Room {
        Room::named(name).unwrap()
    }

    fn place() -> (TempDir, PathBuf) {
        let place = TempDir::new().unwrap();
        let root = place.path().join("cache");
        (place, root)
    }

    /// A cache with an entry that was used 40 days ago, and a directory that was used today.
    fn filled(root: &Path) {
        let cache = Cache::at(root).unwrap();
        cache.publish_bytes(KERNEL, "old", &[1; 10_000]).unwrap();
        let times = fs::FileTimes::new().set_accessed(days_ago(40)).set_modified(days_ago(40));
        File::options()
            .write(true)
            .open(cache.path(KERNEL, "old"))
            .unwrap()
            .set_times(times)
            .unwrap();
        let dir = cache.directory(KERNEL, "new").unwrap();
        fs::write(dir.join("a"), "a").unwrap();
    }

    #[test]
    fn a_room_has_its_entries_their_size_and_their_last_use() {
        let (_place, root) = place();
        filled(&root);
        let usage = Cache::at(&root).unwrap().usage(at(KERNEL)).unwrap();
        assert_eq!(usage.entries, 2);
        assert!(usage.bytes >= 10_000, "{usage:?}");
        let (oldest, newest) = usage.used.unwrap();
        assert!(oldest < days_ago(39) && newest > days_ago(1), "{usage:?}");
        assert_eq!(Cache::at(&root).unwrap().usage(at("builds")).unwrap(), Usage::default());
    }

    #[rstest]
    #[case::everything(None, &[])]
    #[case::old(Some(30), &["new"])]
    #[case::nothing_is_as_old(Some(50), &["new", "old"])]
    fn entries_are_deleted_by_their_last_use(#[case] days: Option<u32>, #[case] left: &[&str]) {
        let (_place, root) = place();
        filled(&root);
        let cache = Cache::exclusively(&root).unwrap();
        let before = cache.cache.usage(at(KERNEL)).unwrap();
        let deleted = cache.clear(at(KERNEL), days.map(days_ago)).unwrap();
        let after = cache.cache.usage(at(KERNEL)).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.join(KERNEL))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, left);
        assert_eq!(deleted.entries + after.entries, 2);
        assert_eq!(deleted.bytes + after.bytes, before.bytes);
    }

    #[test]
    fn nothing_outside_the_cache_is_deleted() {
        let (place, root) = place();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("mine"), "").unwrap();
        filled(&root);
        std::os::unix::fs::symlink(&outside, root.join(KERNEL).join("link")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("source")).unwrap();
        let cache = Cache::exclusively(&root).unwrap();
        assert_eq!(cache.clear(at(KERNEL), None).unwrap().entries, 3);
        assert!(matches!(cache.clear(at("source"), None), Err(CacheError::Link { .. })));
        assert!(outside.join("mine").exists());
    }

    #[test]
    fn a_cache_in_use_is_not_cleared() {
        let (_place, root) = place();
        let user = Cache::at(&root).unwrap();
        assert!(matches!(Cache::exclusively(&root), Err(CacheError::Busy { .. })));
        let clone = user.clone();
        drop(user);
        assert!(matches!(Cache::exclusively(&root), Err(CacheError::Busy { .. })));
        drop(clone);
        Cache::exclusively(&root).unwrap();
    }

    #[test]
    fn a_cache_is_in_use_by_a_program_that_outlives_its_perfsec() {
        let (_place, root) = place();
        let user = Cache::at(&root).unwrap();
        let lock = user.lock("source-tree", &Interrupt::default(), || {}).unwrap();
        drop(user);
        assert!(matches!(Cache::exclusively(&root), Err(CacheError::Busy { .. })));
        drop(lock);
        Cache::exclusively(&root).unwrap();
    }

    #[test]
    fn every_directory_of_the_cache_is_a_room() {
        let names = "accel apt builds debian debian-lists kernel policies runs series snapshots \
                     source";
        let mut rooms: Vec<_> = ROOMS.iter().map(|room| room.name).collect();
        rooms.sort_unstable();
        assert_eq!(rooms.join(" "), names);
    }
}
