//! Locks of entries, held while they are made.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread;

use super::{Cache, CacheError};
use crate::interrupt::Interrupt;

/// The directory of lock files.
pub(super) const LOCKS: &str = "locks";

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
        let (file, path) = self.lock_file(name)?;
        let file = Arc::new(file);
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

    /// Opens a lock's file, and returns its path too.
    pub(super) fn lock_file(&self, name: &str) -> Result<(File, PathBuf), CacheError> {
        let path = self.root().join(LOCKS).join(name);
        let file = open(&path).map_err(|source| self.error("create", &path, source))?;
        Ok((file, path))
    }
}

/// Opens the file of a lock; creates it if necessary.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tempfile::TempDir;

    use super::*;

    fn cache() -> (TempDir, Cache) {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        (dir, cache)
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
}
