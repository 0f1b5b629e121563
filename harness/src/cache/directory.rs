//! Opens the cache directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::lock::{self, LOCKS};
use super::{CacheError, DamagedEntry, Holds, Limit, Room, limit};

/// Environment variable with the path of the cache directory.
pub const CACHE_DIR_VARIABLE: &str = "PERFSEC_CACHE_DIR";

/// The directory of files that are being made.
pub(super) const TEMPORARY: &str = "tmp";
/// The file that every user of the cache locks, shared, for as long as it uses any entry.
const USERS: &str = "users";

/// Temporary entries older than this were left behind by a perfsec that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// An open cache directory. Its entries are not deleted while a clone exists.
#[derive(Clone, Debug)]
pub struct Cache {
    /// New entries are made here.
    root: PathBuf,
    /// Holds a shared lock, or an exclusive one in an [`ExclusiveCache`].
    users: Arc<File>,
    read_only: Option<Arc<ReadOnly>>,
    /// Entries that were found to be damaged, since they were last asked for.
    pub(super) damaged: Arc<Mutex<Vec<DamagedEntry>>>,
}

/// The cache directory while nobody else uses it.
#[derive(Debug)]
pub struct ExclusiveCache {
    pub(super) cache: Cache,
}

/// A cache directory in which this user can create nothing. Its entries are read where they are;
/// new ones are made in a temporary directory.
#[derive(Debug)]
struct ReadOnly {
    root: PathBuf,
    /// The system's error.
    reason: String,
    /// Keeps writers that can lock the file from clearing the directory.
    _users: Option<File>,
    /// Removed with the last clone of the cache.
    _temporary: TempDir,
}

impl Cache {
    /// Opens the user's cache directory; creates it if necessary. Deletes the entries that were
    /// used longest ago if there is more than `PERFSEC_CACHE_LIMIT` allows and nobody uses them.
    pub fn open() -> Result<Self, CacheError> {
        let (place, limit) = (Self::place()?, Limit::of_environment()?);
        limit.enforce(&place);
        Self::at(&place)
    }

    /// Opens the user's cache directory for oneself.
    ///
    /// # Errors
    ///
    /// [`CacheError::Busy`] if somebody else uses it, [`CacheError::ReadOnly`] if it cannot be
    /// written.
    pub fn open_exclusively() -> Result<ExclusiveCache, CacheError> {
        Self::exclusively(&Self::place()?)
    }

    /// The path of the user's cache directory.
    fn place() -> Result<PathBuf, CacheError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        variable(CACHE_DIR_VARIABLE)
            .map(PathBuf::from)
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join("perfsec")))
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache/perfsec")))
            .ok_or(CacheError::NoPlace)
    }

    /// Opens the cache in this directory; creates it if necessary. Waits while another perfsec
    /// clears it. Makes new entries elsewhere if it cannot be written.
    pub fn at(root: &Path) -> Result<Self, CacheError> {
        let cache = match Self::made(root) {
            Err(CacheError::Io { source, .. }) if is_read_only(&source) => {
                Self::beside(root, &source)?
            }
            made => made?,
        };
        let locked = cache.users.lock_shared();
        locked.map_err(|source| cache.error("lock", &cache.root.join(LOCKS), source))?;
        cache.sweep();
        Ok(cache)
    }

    /// Opens the cache in this directory for oneself.
    ///
    /// # Errors
    ///
    /// As [`open_exclusively`](Self::open_exclusively).
    pub fn exclusively(root: &Path) -> Result<ExclusiveCache, CacheError> {
        let cache = match Self::made(root) {
            Err(CacheError::Io { source, .. }) if is_read_only(&source) => {
                let (dir, reason) = (root.to_owned(), source.to_string());
                return Err(CacheError::ReadOnly { dir, reason });
            }
            made => made?,
        };
        let busy = || CacheError::Busy { dir: cache.root.clone() };
        let lock = |file: &File, path: &Path| match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(busy()),
            Err(TryLockError::Error(source)) => Err(cache.error("lock", path, source)),
        };
        let locks = cache.root.join(LOCKS);
        lock(&cache.users, &locks.join(USERS))?;
        // A build holds the lock of its entry even if its perfsec was killed.
        let listed = fs::read_dir(&locks).map_err(|source| cache.error("read", &locks, source))?;
        for entry in listed.flatten().filter(|entry| entry.file_name() != USERS) {
            let path = entry.path();
            let file = File::open(&path).map_err(|source| cache.error("open", &path, source))?;
            lock(&file, &path)?;
        }
        Ok(ExclusiveCache { cache })
    }

    /// Makes the directories, and opens the file that users lock.
    fn made(root: &Path) -> Result<Self, CacheError> {
        let failed = |action, path: &Path, source| CacheError::new(root, action, path, source);
        let make = |dir: &Path| fs::create_dir_all(dir).map_err(|e| failed("create", dir, e));
        make(root)?;
        // apt and QEMU get these paths and run in other directories.
        let root = root.canonicalize().map_err(|source| failed("resolve", root, source))?;
        make(&root.join(TEMPORARY))?;
        make(&root.join(LOCKS))?;
        let path = root.join(LOCKS).join(USERS);
        let users = lock::open(&path).map_err(|source| failed("create", &path, source))?;
        let users = Arc::new(users);
        Ok(Self { root, users, read_only: None, damaged: Arc::default() })
    }

    /// Opens a cache that cannot be written, for this reason.
    fn beside(root: &Path, reason: &io::Error) -> Result<Self, CacheError> {
        let place = std::env::temp_dir();
        let temporary = TempDir::with_prefix("perfsec-cache-");
        let temporary = temporary
            .map_err(|source| CacheError::new(&place, "create a directory in", &place, source))?;
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let users = File::open(root.join(LOCKS).join(USERS)).ok();
        let users = users.filter(|users| users.lock_shared().is_ok());
        let made = Self::made(temporary.path())?;
        let reason = reason.to_string();
        let read_only = ReadOnly { root, reason, _users: users, _temporary: temporary };
        Ok(Self { read_only: Some(Arc::new(read_only)), ..made })
    }

    /// The directory in which entries are made, an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The user's cache directory.
    pub fn location(&self) -> &Path {
        self.read_only.as_ref().map_or(&self.root, |it| &it.root)
    }

    /// The directories in which entries are looked up.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Path> {
        let other = self.read_only.iter().map(|it| it.root.as_path());
        std::iter::once(self.root.as_path()).chain(other)
    }

    /// The error of a command that has to keep what it makes.
    ///
    /// # Errors
    ///
    /// [`CacheError::ReadOnly`] if the user's cache cannot be written.
    pub fn require_writable(&self) -> Result<(), CacheError> {
        let failed = |it: &Arc<ReadOnly>| CacheError::ReadOnly {
            dir: it.root.clone(),
            reason: it.reason.clone(),
        };
        self.read_only.as_ref().map(failed).map_or(Ok(()), Err)
    }

    /// A line for the user if nothing that is made now is kept.
    pub fn notice(&self) -> Option<String> {
        let ReadOnly { root, reason, .. } = &**self.read_only.as_ref()?;
        Some(format!(
            "the cache {} cannot be written ({reason}): nothing new is kept in it, and a run \
             record only where --out says; {CACHE_DIR_VARIABLE} can name another directory",
            root.display()
        ))
    }

    /// A directory in `room` for the state of a tool; created if necessary.
    pub fn directory(&self, room: Room, name: &str) -> Result<PathBuf, CacheError> {
        let dir = self.root.join(room.name).join(name);
        if room.holds == Holds::Trees {
            limit::note_growth(&self.root, room.holds);
        }
        fs::create_dir_all(&dir).map_err(|source| self.error("create", &dir, source))?;
        Ok(dir)
    }

    /// A temporary directory on the cache's filesystem; removed when dropped.
    pub fn temporary(&self) -> Result<TempDir, CacheError> {
        TempDir::new_in(self.root.join(TEMPORARY))
            .map_err(|source| self.error("create a directory in", &self.root, source))
    }

    /// Builds the error for a failed operation on a file of the cache.
    pub fn error(&self, action: &'static str, path: &Path, source: io::Error) -> CacheError {
        CacheError::new(&self.root, action, path, source)
    }

    /// Removes what killed perfsec processes left behind. Failures do no harm and are ignored.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.root.join(TEMPORARY)) else { return };
        for entry in entries.flatten() {
            let age = entry
                .metadata()
                .and_then(|data| data.modified())
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            if age.is_some_and(|age| age > ABANDONED) {
                let _ = delete(&entry.path());
            }
        }
    }
}

/// True if this error says that the user cannot write there, or nobody can.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Deletes a file, or a directory with all that is in it. Does not follow a symbolic link.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;

    fn place() -> (TempDir, PathBuf) {
        let place = TempDir::new().unwrap();
        let root = place.path().join("cache");
        (place, root)
    }

    #[test]
    fn a_cache_in_use_is_nobodys_own() {
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
    fn the_error_names_a_file_at_the_path_of_the_directory() {
        let (_place, root) = place();
        fs::write(&root, "").unwrap();
        let error = Cache::at(&root).unwrap_err();
        assert!(error.to_string().contains("cache"), "{error}");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_read_and_new_entries_last_as_long_as_it_is_open() {
        let (_place, root) = place();
        let writable = Cache::at(&root).unwrap();
        let old = writable.publish(Room::KERNEL, "old", b"old").unwrap();
        let error = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let cache = Cache::beside(&root, &error).unwrap();
        assert_eq!(cache.find(Room::KERNEL, "old"), Some(old.clone()));
        let new = cache.publish(Room::KERNEL, "new", b"new").unwrap();
        assert_eq!(cache.find(Room::KERNEL, "new"), Some(new.clone()));
        assert!(!new.starts_with(&root) && writable.find(Room::KERNEL, "new").is_none());

        let notice = cache.notice().unwrap();
        assert!(notice.contains(&root.display().to_string()) && notice.contains("read-only"));
        assert!(writable.notice().is_none());
        assert!(matches!(cache.require_writable(), Err(CacheError::ReadOnly { .. })));

        fs::write(&old, "bad").unwrap();
        assert_eq!(cache.find(Room::KERNEL, "old"), None);
        assert!(old.exists());
        drop(cache);
        assert!(!new.exists());
    }
}
