//! Measures the directories of the cache, and clears them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::directory::delete;
use super::entries::Entry;
use super::{Cache, CacheError, ExclusiveCache, Holds, Room};

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

impl Usage {
    fn add(&mut self, held: &Held) {
        let used = held.used;
        self.entries += 1;
        self.bytes += held.bytes;
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

/// An entry and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) name: String,
    /// Bytes on the disk.
    pub(super) bytes: u64,
    /// Its last use.
    pub(super) used: SystemTime,
}

impl Cache {
    /// The content of a room. Entries that vanish meanwhile do not count.
    ///
    /// # Errors
    ///
    /// Returns an error if a directory cannot be read.
    pub fn usage(&self, room: Room) -> Result<Usage, CacheError> {
        let mut usage = Usage::default();
        self.held(room)?.iter().for_each(|held| usage.add(held));
        Ok(usage)
    }

    /// The entries of a room. Those that vanish meanwhile are missing.
    pub(super) fn held(&self, room: Room) -> Result<Vec<Held>, CacheError> {
        let dir = self.location().join(room.name);
        let listed = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|source| self.error("read", &dir, source))?,
        };
        let mut all = Vec::new();
        for entry in listed {
            let entry = entry.map_err(|source| self.error("read", &dir, source))?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let (bytes, used) = match measure(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                measured => measured.map_err(|source| self.error("read", &path, source))?,
            };
            // Entries are also read to compare them with their seals, which is no use.
            let sealed = room.holds == Holds::Entries;
            let noted = sealed.then(|| Entry::new(self.location(), room, &name).last_use());
            let used = noted.flatten().unwrap_or(used);
            all.push(Held { name, bytes, used });
        }
        Ok(all)
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
        self.refuse_link(room)?;
        let mut deleted = Usage::default();
        for held in self.cache.held(room)? {
            if limit.is_none_or(|limit| held.used < limit) {
                self.delete(room, &held.name)?;
                deleted.add(&held);
            }
        }
        Ok(deleted)
    }

    /// Deletes an entry, and its seal if it has one.
    pub(super) fn delete(&self, room: Room, name: &str) -> Result<(), CacheError> {
        self.refuse_link(room)?;
        let path = self.cache.file(room, name);
        delete(&path).map_err(|source| self.cache.error("delete", &path, source))?;
        if room.holds == Holds::Entries {
            Entry::new(self.cache.root(), room, name).delete();
        }
        Ok(())
    }

    fn refuse_link(&self, room: Room) -> Result<(), CacheError> {
        let path = self.cache.root().join(room.name);
        if path.is_symlink() { Err(CacheError::Link { path }) } else { Ok(()) }
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
    use std::path::PathBuf;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;

    const KERNEL: Room = Room::KERNEL;

    fn place() -> (TempDir, PathBuf) {
        let place = TempDir::new().unwrap();
        let root = place.path().join("cache");
        (place, root)
    }

    /// A cache with an entry that was used 40 days ago, and a directory that was used today.
    fn filled(root: &Path) {
        let cache = Cache::at(root).unwrap();
        cache.publish(KERNEL, "old", &[1; 10_000]).unwrap();
        spoil::set_last_use(&cache, KERNEL, "old", days_ago(40));
        let dir = cache.directory(KERNEL, "new").unwrap();
        fs::write(dir.join("a"), "a").unwrap();
    }

    #[test]
    fn a_room_has_its_entries_their_size_and_their_last_use() {
        let (_place, root) = place();
        filled(&root);
        let usage = Cache::at(&root).unwrap().usage(KERNEL).unwrap();
        assert_eq!(usage.entries, 2);
        assert!(usage.bytes >= 10_000, "{usage:?}");
        let (oldest, newest) = usage.used.unwrap();
        assert!(oldest < days_ago(39) && newest > days_ago(1), "{usage:?}");
        assert_eq!(Cache::at(&root).unwrap().usage(Room::BUILDS).unwrap(), Usage::default());
    }

    #[rstest]
    #[case::everything(None, &[])]
    #[case::old(Some(30), &["new"])]
    #[case::nothing_is_as_old(Some(50), &["new", "old"])]
    fn entries_are_deleted_by_their_last_use(#[case] days: Option<u32>, #[case] left: &[&str]) {
        let (_place, root) = place();
        filled(&root);
        let cache = Cache::exclusively(&root).unwrap();
        let before = cache.cache.usage(KERNEL).unwrap();
        let deleted = cache.clear(KERNEL, days.map(days_ago)).unwrap();
        let after = cache.cache.usage(KERNEL).unwrap();
        let mut names: Vec<_> = fs::read_dir(root.join(KERNEL.name))
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
        std::os::unix::fs::symlink(&outside, root.join(KERNEL.name).join("link")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("source")).unwrap();
        let cache = Cache::exclusively(&root).unwrap();
        assert_eq!(cache.clear(KERNEL, None).unwrap().entries, 3);
        assert!(matches!(cache.clear(Room::SOURCE, None), Err(CacheError::Link { .. })));
        assert!(outside.join("mine").exists());
    }
}
