//! The cache directory.
//!
//! Every entry is named by its content and never changes, so several perfsec processes can share
//! the directory, and deleting an entry costs only the time to make it again.

mod rooms;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::{NamedTempFile, TempDir};

use crate::interrupt::Interrupt;

pub use rooms::{ROOMS, Room, Usage, days_ago};

/// The file that every user of the cache locks, shared, for as long as it uses any entry.
const USERS: &str = "users";

/// Environment variable with the path of the cache directory.
pub const CACHE_DIR_VARIABLE: &str = "PERFSEC_CACHE_DIR";

/// Temporary entries older than this were left behind by a perfsec that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// A failure of the cache directory.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// `PERFSEC_CACHE_DIR`, `XDG_CACHE_HOME` and `HOME` are all unset.
    #[error("find a cache directory: none of {CACHE_DIR_VARIABLE}, XDG_CACHE_HOME and HOME is set")]
    NoPlace,
    /// The filesystem or the user's quota is full.
    #[error(
        "write to {}: no space left; free some, or set {CACHE_DIR_VARIABLE} to a directory with \
         room",
        .dir.display()
    )]
    Full {
        /// The cache directory.
        dir: PathBuf,
    },
    /// Another process uses the cache that is to be cleared.
    #[error(
        "clear the cache {}: another perfsec, or a build that it started, is using it; wait until \
         it has ended",
        .dir.display()
    )]
    Busy {
        /// The cache directory.
        dir: PathBuf,
    },
    /// A directory to clear is a symbolic link.
    #[error(
        "clear {}: it is a symbolic link, and perfsec deletes nothing outside its cache; delete \
         the link or what it leads to",
        .path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The user interrupted the wait for a lock.
    #[error("wait for another perfsec: interrupted")]
    Interrupted,
    /// Any other failure of the filesystem.
    #[error("{action} {}", .path.display())]
    Io {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// An open cache directory. Its entries are not deleted while a clone exists.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    /// Holds a shared lock, or an exclusive one in an [`ExclusiveCache`].
    users: Arc<File>,
}

/// The cache directory while nobody else uses it.
#[derive(Debug)]
pub struct ExclusiveCache {
    cache: Cache,
}

/// The lock of one entry, held while it is made. It is released when the last clone is dropped and
/// all programs that inherited it have exited.
#[derive(Clone, Debug)]
pub struct Lock {
    file: Arc<File>,
}

impl Lock {
    /// An empty standard input for a program that works on the entry. The program keeps the lock
    /// even if perfsec is killed: `flock(2)` locks the open file description, which a child shares.
    ///
    /// # Errors
    ///
    /// The process has too many open files.
    pub fn stdin(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }
}

impl Cache {
    /// Opens the user's cache directory; creates it if necessary.
    pub fn open() -> Result<Self, CacheError> {
        Self::at(&Self::place()?)
    }

    /// Opens the user's cache directory for oneself.
    ///
    /// # Errors
    ///
    /// [`CacheError::Busy`] if somebody else uses it.
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
    /// clears it.
    pub fn at(root: &Path) -> Result<Self, CacheError> {
        let cache = Self::made(root)?;
        let locked = cache.users.lock_shared();
        locked.map_err(|source| cache.error("lock", &cache.path("locks", USERS), source))?;
        cache.sweep();
        Ok(cache)
    }

    /// Opens the cache in this directory for oneself.
    ///
    /// # Errors
    ///
    /// [`CacheError::Busy`] if somebody else uses it.
    pub fn exclusively(root: &Path) -> Result<ExclusiveCache, CacheError> {
        let cache = Self::made(root)?;
        let busy = || CacheError::Busy { dir: cache.root.clone() };
        let lock = |file: &File, path: &Path| match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(busy()),
            Err(TryLockError::Error(source)) => Err(cache.error("lock", path, source)),
        };
        let locks = cache.path("locks", "");
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
        let make = |dir: &Path| fs::create_dir_all(dir);
        make(root).map_err(|source| io_error(root, "create", root, source))?;
        // apt and QEMU get these paths and run in other directories.
        let root = root.canonicalize().map_err(|source| io_error(root, "resolve", root, source))?;
        for room in ["tmp", "locks"] {
            let dir = root.join(room);
            make(&dir).map_err(|source| io_error(&root, "create", &dir, source))?;
        }
        let path = root.join("locks").join(USERS);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| io_error(&root, "create", &path, source))?;
        Ok(Self { root, users: Arc::new(file) })
    }

    /// The cache directory, an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the entry `name` in the directory `room`, whether or not it exists.
    pub fn path(&self, room: &str, name: &str) -> PathBuf {
        self.root.join(room).join(name)
    }

    /// A directory in `room` for the state of a tool; created if necessary.
    pub fn directory(&self, room: &str, name: &str) -> Result<PathBuf, CacheError> {
        let dir = self.path(room, name);
        fs::create_dir_all(&dir).map_err(|source| self.error("create", &dir, source))?;
        Ok(dir)
    }

    /// Writes an entry atomically; `fill` writes its content.
    pub fn publish(
        &self,
        room: &str,
        name: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<PathBuf, CacheError> {
        let path = self.path(room, name);
        self.directory(room, "")?;
        let mut temporary = NamedTempFile::new_in(self.root.join("tmp"))
            .map_err(|source| self.error("create a file in", &self.root, source))?;
        fill(temporary.as_file_mut()).map_err(|source| self.error("write", &path, source))?;
        temporary.persist(&path).map_err(|lost| self.error("write", &path, lost.error))?;
        Ok(path)
    }

    /// [`publish`](Self::publish) with content in memory.
    pub fn publish_bytes(
        &self,
        room: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<PathBuf, CacheError> {
        self.publish(room, name, |file| file.write_all(bytes))
    }

    /// Moves a complete file from a [`temporary`](Self::temporary) directory into the cache.
    pub fn adopt(&self, room: &str, name: &str, file: &Path) -> Result<PathBuf, CacheError> {
        let path = self.path(room, name);
        self.directory(room, "")?;
        fs::rename(file, &path).map_err(|source| self.error("write", &path, source))?;
        Ok(path)
    }

    /// A temporary directory on the cache's filesystem; removed when dropped.
    pub fn temporary(&self) -> Result<TempDir, CacheError> {
        TempDir::new_in(self.root.join("tmp"))
            .map_err(|source| self.error("create a directory in", &self.root, source))
    }

    /// Locks the entry `name`. If another perfsec holds the lock, calls `waiting` once and waits
    /// until it is released or `interrupt` is raised.
    ///
    /// After a wait the entry usually exists: look again before making it.
    pub fn lock(
        &self,
        name: &str,
        interrupt: &Interrupt,
        waiting: impl FnOnce(),
    ) -> Result<Lock, CacheError> {
        let path = self.path("locks", name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = Arc::new(file.map_err(|source| self.error("create", &path, source))?);
        let failed = |source| self.error("lock", &path, source);
        match file.try_lock() {
            Ok(()) => return Ok(Lock { file }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => waiting(),
        }
        // Only a signal interrupts flock(2), and our handlers restart it. So another thread waits
        // for the lock, and is abandoned when the user interrupts.
        let (sender, receiver) = mpsc::channel();
        let (waiter, stop) = (Arc::clone(&file), sender.clone());
        interrupt.on_raise(move || drop(stop.send(None)));
        thread::spawn(move || drop(sender.send(Some(waiter.lock()))));
        match receiver.recv() {
            Ok(Some(locked)) => locked.map(|()| Lock { file }).map_err(failed),
            Ok(None) | Err(_) => Err(CacheError::Interrupted),
        }
    }

    /// Builds the error for a failed operation on a file of the cache.
    pub fn error(&self, action: &'static str, path: &Path, source: io::Error) -> CacheError {
        io_error(&self.root, action, path, source)
    }

    /// Removes what killed perfsec processes left behind. Failures do no harm and are ignored.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.root.join("tmp")) else { return };
        for entry in entries.flatten() {
            let age = entry
                .metadata()
                .and_then(|data| data.modified())
                .ok()
                .and_then(|time| SystemTime::now().duration_since(time).ok());
            if age.is_some_and(|age| age > ABANDONED) {
                let path = entry.path();
                let _ =
                    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            }
        }
    }
}

fn io_error(root: &Path, action: &'static str, path: &Path, source: io::Error) -> CacheError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            CacheError::Full { dir: root.to_path_buf() }
        }
        _ => CacheError::Io { action, path: path.to_path_buf(), source },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn cache() -> (TempDir, Cache) {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        (dir, cache)
    }

    fn left_behind(cache: &Cache) -> usize {
        fs::read_dir(cache.root().join("tmp")).unwrap().count()
    }

    #[test]
    fn a_published_entry_is_complete() {
        let (_dir, cache) = cache();
        let path = cache.publish_bytes("kernel", "abc", b"content").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(path, cache.path("kernel", "abc"));
        assert_eq!(left_behind(&cache), 0);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let (_dir, cache) = cache();
        let full = |file: &mut File| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = cache.publish("kernel", "abc", full).unwrap_err();
        assert!(matches!(&error, CacheError::Full { dir } if dir == cache.root()), "{error}");
        assert!(error.to_string().contains(&cache.root().display().to_string()), "{error}");
        assert!(!cache.path("kernel", "abc").exists());
        assert_eq!(left_behind(&cache), 0);
    }

    #[test]
    fn a_second_locker_reports_that_it_waits_and_then_gets_the_lock() {
        let (_dir, cache) = cache();
        let waited = AtomicBool::new(false);
        let interrupt = &Interrupt::default();
        let first = cache.lock("one", interrupt, || panic!("nobody holds it")).unwrap();
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let second = scope.spawn({
                let (cache, waited) = (&cache, &waited);
                move || {
                    cache.lock("one", interrupt, || {
                        waited.store(true, Ordering::SeqCst);
                        sender.send(()).unwrap();
                    })
                }
            });
            receiver.recv().unwrap();
            drop(first);
            second.join().unwrap().unwrap();
        });
        assert!(waited.load(Ordering::SeqCst));
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_lock() {
        let (_dir, cache) = cache();
        let _held = cache.lock("one", &Interrupt::default(), || {}).unwrap();
        let interrupt = Interrupt::default();
        let ended = cache.lock("one", &interrupt, || interrupt.raise());
        assert!(matches!(ended, Err(CacheError::Interrupted)));
    }

    #[test]
    fn a_program_that_inherited_a_lock_holds_it_until_it_exits() {
        let (_dir, cache) = cache();
        let interrupt = Interrupt::default();
        let lock = cache.lock("one", &interrupt, || {}).unwrap();
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("1000").stdin(lock.stdin().unwrap()).spawn().unwrap();
        drop((lock, sleep));
        let next = cache.lock("one", &interrupt, || child.kill().unwrap());
        assert!(next.is_ok());
        child.wait().unwrap();
    }

    #[test]
    fn the_error_names_a_file_at_the_path_of_the_directory() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(&file).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
