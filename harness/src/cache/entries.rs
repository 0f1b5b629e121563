//! Entries that are files: published with a seal, and read only if the seal is unbroken.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::directory::{TEMPORARY, delete};
use super::limit;
use super::rooms::{Holds, ROOMS};
use super::seal::{self, Content, Damage, Seal};
use super::{Cache, CacheError, Room};
use crate::counted::inflected;
use crate::foreign;

/// The directory of the seals, with a directory for each room.
const SEALS: &str = "seals";
/// The lock of whoever replaces a file and its seal, or deletes them.
const LOCK: &str = "seals";
/// The time of a seal's last change is the entry's last use, to this precision: not every use need
/// write.
const USE: Duration = Duration::from_secs(60 * 60);

/// An entry that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedEntry {
    /// Its directory.
    pub room: Room,
    /// Its file name.
    pub name: String,
    /// The difference.
    pub damage: Damage,
}

/// The result of comparing every entry with what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Number of entries that are what was written.
    pub sound: usize,
    /// The other ones.
    pub damaged: Vec<DamagedEntry>,
}

impl Cache {
    /// The path of an entry that is what was written. Returns `None` if the entry is missing or
    /// damaged.
    ///
    /// A damaged entry is deleted, and [`take_notes`](Self::take_notes) reports it. An entry whose
    /// seal vouches for its file is not read; another one is hashed in full.
    #[must_use]
    pub fn find(&self, room: Room, name: &str) -> Option<PathBuf> {
        self.look_up(room, name, |entry, haste| {
            let Some((_, data)) = entry.open()? else { return Ok(None) };
            let seal = entry.seal().ok_or(Damage::Unsealed)?;
            if !seal.vouches_for(&data) {
                entry.compare(&seal.content, haste)?;
            }
            Ok(Some(entry.path()))
        })
    }

    /// The path of an entry with this SHA-256, in hexadecimal, whoever wrote it.
    #[must_use]
    pub fn find_known(&self, room: Room, name: &str, sha256: &str) -> Option<PathBuf> {
        self.look_up(room, name, |entry, haste| {
            let Some((_, data)) = entry.open()? else { return Ok(None) };
            let seal = entry.seal().filter(|seal| seal.content.sha256 == sha256);
            if !seal.is_some_and(|seal| seal.vouches_for(&data)) {
                let content = Content { length: data.len(), sha256: sha256.to_owned() };
                entry.compare(&content, haste)?;
            }
            Ok(Some(entry.path()))
        })
    }

    /// The content of an entry, if it is what was written.
    #[must_use]
    pub fn read(&self, room: Room, name: &str) -> Option<Vec<u8>> {
        self.look_up(room, name, |entry, _| {
            let Some((mut file, data)) = entry.open()? else { return Ok(None) };
            let seal = entry.seal().ok_or(Damage::Unsealed)?;
            seal::read(&mut file, &data, &seal.content).map(Some)
        })
    }

    /// The value in an entry, if it is what was written and of this version of perfsec.
    #[must_use]
    pub fn read_json<T: DeserializeOwned>(&self, room: Room, name: &str) -> Option<T> {
        serde_json::from_slice(&self.read(room, name)?).ok()
    }

    /// False if this is the path of an entry that is no longer what was written. True for files
    /// outside the cache.
    #[must_use]
    pub fn vouches_for(&self, path: &Path) -> bool {
        let Some(inside) = self.roots().find_map(|root| path.strip_prefix(root).ok()) else {
            return true;
        };
        let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
        let entry = match parts.as_slice() {
            [room, name] => Room::named(room).map(|room| (room, *name)),
            _ => None,
        };
        let entry = entry.filter(|(room, _)| room.holds == Holds::Entries);
        entry.is_none_or(|(room, name)| self.find(room, name).is_some())
    }

    /// Lines for the user about the entries that were found to be damaged since the last call.
    #[must_use]
    pub fn take_notes(&self) -> Vec<String> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let (unsealed, damaged): (Vec<_>, Vec<_>) =
            damaged.drain(..).partition(|it| it.damage == Damage::Unsealed);
        let mut notes: Vec<_> =
            damaged.iter().map(|it| format!("cache: {it}; perfsec makes it again")).collect();
        // After an update of perfsec, all that it uses.
        if !unsealed.is_empty() {
            let count = unsealed.len();
            let entries = inflected(count, "entry has", "entries have");
            let them = inflected(count, "it", "them");
            notes.push(format!("cache: {count} {entries} no seal; perfsec makes {them} again"));
        }
        notes
    }

    /// Writes an entry and its seal atomically, and returns the path of the entry.
    pub fn publish(&self, room: Room, name: &str, bytes: &[u8]) -> Result<PathBuf, CacheError> {
        let file = self.temporary_file()?;
        let failed = |source| self.error("write", file.path(), source);
        file.as_file().write_all(bytes).map_err(failed)?;
        self.install(room, name, file.into_temp_path().as_ref(), Content::of(bytes))
    }

    /// [`publish`](Self::publish) for a value.
    pub fn publish_json(
        &self,
        room: Room,
        name: &str,
        value: &impl Serialize,
    ) -> Result<PathBuf, CacheError> {
        let text = serde_json::to_vec(value)
            .map_err(|error| self.error("write", &self.file(room, name), error.into()))?;
        self.publish(room, name, &text)
    }

    /// Moves a complete file from a [`temporary`](Self::temporary) directory, or a
    /// [`temporary_file`](Self::temporary_file), into the cache. Its SHA-256 is given in
    /// hexadecimal.
    pub fn adopt(
        &self,
        room: Room,
        name: &str,
        file: &Path,
        sha256: String,
    ) -> Result<PathBuf, CacheError> {
        let data = fs::metadata(file).map_err(|source| self.error("read", file, source))?;
        self.install(room, name, file, Content { length: data.len(), sha256 })
    }

    /// A temporary file on the cache's filesystem; removed when dropped.
    pub fn temporary_file(&self) -> Result<NamedTempFile, CacheError> {
        NamedTempFile::new_in(self.root().join(TEMPORARY))
            .map_err(|source| self.error("create a file in", self.root(), source))
    }

    /// The path of a file in `room` that the caller writes, and that is not read as an entry.
    #[must_use]
    pub fn file(&self, room: Room, name: &str) -> PathBuf {
        self.root().join(room.name).join(name)
    }

    /// Deletes an entry. Another perfsec may have done so before.
    pub fn remove(&self, room: Room, name: &str) {
        let _locked = self.lock_seals();
        Entry::new(self.root(), room, name).delete();
    }

    /// Compares every entry with what was written. Deletes damaged ones unless they are to be kept.
    ///
    /// # Errors
    ///
    /// Returns an error if a directory cannot be read.
    pub fn verify(&self, keep: bool) -> Result<Verified, CacheError> {
        let mut verified = Verified::default();
        let root = self.location();
        let writable = root == self.root();
        for room in ROOMS.iter().filter(|room| room.holds == Holds::Entries) {
            for name in self.names(&root.join(room.name))? {
                let entry = Entry::new(root, *room, &name);
                let _locked = writable.then(|| self.lock_seals());
                match entry.verify() {
                    Ok(found) => verified.sound += usize::from(found),
                    Err(damage) => {
                        if writable && !keep {
                            entry.delete();
                        }
                        verified.damaged.push(DamagedEntry { room: *room, name, damage });
                    }
                }
            }
            // A seal whose entry was deleted by hand is of no use.
            let seals = root.join(SEALS).join(room.name);
            for name in if writable && !keep { self.names(&seals)? } else { Vec::new() } {
                let _locked = self.lock_seals();
                if !root.join(room.name).join(&name).exists() {
                    let _ = fs::remove_file(seals.join(name));
                }
            }
        }
        Ok(verified)
    }

    /// The names in a directory, which may be missing, in order.
    fn names(&self, dir: &Path) -> Result<Vec<String>, CacheError> {
        let failed = |source| self.error("read", dir, source);
        let listed = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(failed)?,
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = listed.map(|entry| entry.map(name)).collect::<io::Result<Vec<_>>>();
        let mut names = names.map_err(failed)?;
        names.sort_unstable();
        Ok(names)
    }

    /// Looks an entry up with `believe`, which returns an error if the entry is not what was
    /// written. It is first called in haste, and after an error again without others who replace
    /// files and seals.
    fn look_up<T>(
        &self,
        room: Room,
        name: &str,
        believe: impl Fn(&Entry<'_>, Haste) -> Result<Option<T>, Damage>,
    ) -> Option<T> {
        self.roots().find_map(|root| {
            let entry = Entry::new(root, room, name);
            let writable = root == self.root();
            let found = believe(&entry, Haste::Hasty).or_else(|_| {
                let _locked = writable.then(|| self.lock_seals());
                let found = believe(&entry, Haste::Thorough);
                if writable && found.is_err() {
                    entry.delete();
                }
                found
            });
            match found {
                Ok(found) => found.inspect(|_| entry.note_use()),
                Err(damage) => {
                    let damaged = DamagedEntry { room, name: name.to_owned(), damage };
                    self.damaged.lock().unwrap_or_else(PoisonError::into_inner).push(damaged);
                    None
                }
            }
        })
    }

    /// Moves a file into the cache and seals it.
    fn install(
        &self,
        room: Room,
        name: &str,
        file: &Path,
        content: Content,
    ) -> Result<PathBuf, CacheError> {
        let entry = Entry::new(self.root(), room, name);
        let path = entry.path();
        let failed = |source| self.error("write", &path, source);
        self.directory(room, "")?;
        if content.length >= limit::LARGE {
            limit::note_growth(self.root(), room.holds);
        }
        let _locked = self.lock_seals();
        fs::rename(file, &path).map_err(failed)?;
        let compared = SystemTime::now();
        let data = fs::metadata(&path).map_err(failed)?;
        entry.write_seal(&Seal::new(content, &data, compared)).map_err(failed)?;
        Ok(path)
    }

    /// Excludes others who replace entries. It is held for moments: for the time in which one entry
    /// is hashed, at most. Without it (the lock cannot be opened) an entry may be made once more.
    fn lock_seals(&self) -> Option<File> {
        let (file, _) = self.lock_file(LOCK).ok()?;
        file.lock().ok().map(|()| file)
    }
}

/// The care with which an entry is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    /// Nothing is hashed that a seal does not vouch for, and nobody is kept waiting.
    Hasty,
    /// The content decides.
    Thorough,
}

/// An entry of a cache, whether or not it exists.
pub(super) struct Entry<'a> {
    root: &'a Path,
    room: Room,
    name: &'a str,
}

impl<'a> Entry<'a> {
    /// # Panics
    ///
    /// If the room holds no entries: a tree must not be deleted because it has no seal.
    pub(super) fn new(root: &'a Path, room: Room, name: &'a str) -> Self {
        assert_eq!(room.holds, Holds::Entries, "only entries have seals");
        Self { root, room, name }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.root.join(self.room.name).join(self.name)
    }

    pub(super) fn seal_path(&self) -> PathBuf {
        self.root.join(SEALS).join(self.room.name).join(self.name)
    }

    fn open(&self) -> Result<Option<(File, fs::Metadata)>, Damage> {
        seal::open(&self.path())
    }

    fn seal(&self) -> Option<Seal> {
        Seal::parse(&foreign::read(&self.seal_path(), &foreign::CACHED).ok()?)
    }

    /// Hashes the file in full, and seals it again if it has this content.
    fn compare(&self, content: &Content, haste: Haste) -> Result<(), Damage> {
        if haste == Haste::Hasty {
            return Err(Damage::Content);
        }
        let compared = SystemTime::now();
        let Some((mut file, data)) = self.open()? else { return Ok(()) };
        seal::compare(&mut file, &data, content)?;
        // In a cache that cannot be written, the next use hashes it again.
        let _ = self.write_seal(&Seal::new(content.clone(), &data, compared));
        Ok(())
    }

    /// Compares the entry without counting as a use. Returns false if it has vanished.
    fn verify(&self) -> Result<bool, Damage> {
        let Some((mut file, data)) = self.open()? else { return Ok(false) };
        let content = self.seal().ok_or(Damage::Unsealed)?.content;
        seal::compare(&mut file, &data, &content).map(|()| true)
    }

    fn write_seal(&self, seal: &Seal) -> io::Result<()> {
        let path = self.seal_path();
        let text = seal.text()?;
        fs::create_dir_all(path.parent().unwrap_or(self.root))?;
        let mut file = NamedTempFile::new_in(self.root.join(TEMPORARY))?;
        file.write_all(&text)?;
        file.persist(&path)?;
        Ok(())
    }

    /// The last use of an entry that has a seal.
    pub(super) fn last_use(&self) -> Option<SystemTime> {
        fs::metadata(self.seal_path()).and_then(|data| data.modified()).ok()
    }

    /// Notes that the entry was used, if it was not used a short while ago.
    fn note_use(&self) {
        let (used, now) = (self.last_use(), SystemTime::now());
        let known = used.is_some_and(|used| now.duration_since(used).is_ok_and(|ago| ago < USE));
        if !known && let Ok(seal) = File::options().write(true).open(self.seal_path()) {
            // Otherwise it is deleted earlier than others.
            let _ = seal.set_modified(now);
        }
    }

    /// Deletes the file and its seal. Both may be missing.
    pub(super) fn delete(&self) {
        let _ = delete(&self.path());
        let _ = fs::remove_file(self.seal_path());
    }
}

impl fmt::Display for DamagedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.room.name, self.name, self.damage)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tempfile::TempDir;

    use super::*;
    use crate::cache::{days_ago, spoil};

    const ROOM: Room = Room::KERNEL;

    fn cache() -> (TempDir, Cache) {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        (dir, cache)
    }

    fn left_behind(cache: &Cache) -> usize {
        fs::read_dir(cache.root().join(TEMPORARY)).unwrap().count()
    }

    #[test]
    fn a_published_entry_is_complete() {
        let (_dir, cache) = cache();
        let path = cache.publish(ROOM, "abc", b"content").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(cache.find(ROOM, "abc"), Some(path));
        assert_eq!(cache.read(ROOM, "abc").unwrap(), b"content");
        assert_eq!(cache.find(ROOM, "other"), None);
        assert_eq!((left_behind(&cache), cache.take_notes()), (0, Vec::new()));
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let (_dir, cache) = cache();
        fs::write(cache.root().join(ROOM.name), "a file in the room's place").unwrap();
        assert!(cache.publish(ROOM, "abc", b"content").is_err());
        assert_eq!(left_behind(&cache), 0);
    }

    #[test]
    fn a_damaged_entry_is_neither_found_nor_read() {
        let (_dir, cache) = cache();
        let publish = || drop(cache.publish(ROOM, "abc", b"content").unwrap());
        spoil::is_never_believed(&cache, ROOM, publish, || cache.find(ROOM, "abc").is_some());
        spoil::is_never_believed(&cache, ROOM, publish, || cache.read(ROOM, "abc").is_some());
    }

    #[test]
    fn a_damaged_entry_is_deleted_and_the_note_says_what_was_wrong() {
        let (_dir, cache) = cache();
        let path = cache.publish(ROOM, "abc", b"content").unwrap();
        fs::write(&path, "cont").unwrap();
        assert_eq!(cache.find(ROOM, "abc"), None);
        assert!(!path.exists());
        let notes = cache.take_notes();
        let words = "kernel/abc has 4 bytes, and 7 were written";
        assert!(notes.len() == 1 && notes[0].contains(words), "{notes:?}");
        assert_eq!(cache.take_notes(), Vec::<String>::new());
    }

    #[test]
    fn entries_of_an_older_perfsec_are_one_note() {
        let (_dir, cache) = cache();
        let dir = cache.directory(ROOM, "").unwrap();
        for name in ["a", "b"] {
            fs::write(dir.join(name), "content").unwrap();
            assert_eq!(cache.read(ROOM, name), None);
        }
        assert_eq!(cache.take_notes(), ["cache: 2 entries have no seal; perfsec makes them again"]);
    }

    #[test]
    fn an_entry_without_a_seal_is_found_by_its_content() {
        let (_dir, cache) = cache();
        let path = cache.directory(ROOM, "").unwrap().join("abc");
        let sha256 = crate::kernel::hash::sha256(b"content");
        let find = || cache.find_known(ROOM, "abc", &sha256);
        assert_eq!(find(), None);
        fs::write(&path, "content").unwrap();
        assert_eq!(find(), Some(path.clone()));
        assert_eq!(cache.find(ROOM, "abc"), Some(path.clone()));
        fs::write(&path, "c0ntent").unwrap();
        assert_eq!(find(), None);
        // Sealed by somebody who expected something else.
        cache.publish(ROOM, "abc", b"other").unwrap();
        assert_eq!(find(), None);
    }

    #[test]
    fn readers_get_one_of_the_contents_while_others_replace_an_entry() {
        let (_dir, cache) = cache();
        let contents = [vec![b'a'; 1000], vec![b'b'; 2000], vec![b'c'; 1000]];
        cache.publish(ROOM, "abc", &contents[0]).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers = contents.each_ref().map(|content| {
                scope.spawn(|| (0..100).for_each(|_| drop(cache.publish(ROOM, "abc", content))))
            });
            let reader = scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let read = cache.read(ROOM, "abc");
                    assert!(read.is_some_and(|read| contents.contains(&read)));
                    assert!(cache.find(ROOM, "abc").is_some());
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            done.store(true, Ordering::SeqCst);
            reader.join().unwrap();
        });
        assert_eq!(cache.take_notes(), Vec::<String>::new());
    }

    #[test]
    fn a_use_is_noted_with_the_seal() {
        let (_dir, cache) = cache();
        cache.publish(ROOM, "abc", b"content").unwrap();
        let used = || Entry::new(cache.root(), ROOM, "abc").last_use().unwrap();
        for (look, is_use) in [
            (|cache: &Cache| drop(cache.verify(true).unwrap()), false),
            (|cache: &Cache| drop(cache.find(ROOM, "abc").unwrap()), true),
            (|cache: &Cache| drop(cache.read(ROOM, "abc").unwrap()), true),
        ] as [(fn(&Cache), bool); 3]
        {
            spoil::set_last_use(&cache, ROOM, "abc", days_ago(3));
            look(&cache);
            assert_eq!(used() > days_ago(1), is_use);
        }
    }

    #[test]
    fn only_paths_of_damaged_entries_are_not_vouched_for() {
        let (dir, cache) = cache();
        let path = cache.publish(ROOM, "abc", b"content").unwrap();
        let outside = dir.path().join("vmlinux");
        let inside = cache.directory(Room::SOURCE, "tree").unwrap();
        for path in [&path, &outside, &inside, &inside.join("vmlinux")] {
            assert!(cache.vouches_for(path), "{}", path.display());
        }
        fs::write(&path, "c0ntent").unwrap();
        assert!(!cache.vouches_for(&path));
    }

    #[test]
    fn all_damaged_entries_are_listed_and_deleted_unless_they_are_to_be_kept() {
        let (_dir, cache) = cache();
        cache.publish(ROOM, "good", b"content").unwrap();
        let bad = cache.publish(Room::POLICIES, "bad", b"content").unwrap();
        fs::write(&bad, "c0ntent").unwrap();
        let gone = cache.publish(ROOM, "gone", b"content").unwrap();
        fs::remove_file(gone).unwrap();
        fs::write(cache.directory(Room::SOURCE, "tree").unwrap().join("file"), "").unwrap();
        let damage = Damage::Content;
        let damaged = DamagedEntry { room: Room::POLICIES, name: "bad".to_owned(), damage };
        let verified = Verified { sound: 1, damaged: vec![damaged] };
        assert_eq!(cache.verify(true).unwrap(), verified);
        assert!(bad.exists());
        assert_eq!(cache.verify(false).unwrap(), verified);
        assert!(!bad.exists() && !cache.root().join(SEALS).join("kernel/gone").exists());
        assert_eq!(cache.verify(false).unwrap(), Verified { sound: 1, damaged: Vec::new() });
    }
}
