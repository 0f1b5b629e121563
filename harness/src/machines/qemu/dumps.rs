//! Files for the memory of guests that die.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::machines::{Incident, MemoryDump};

/// The directory that the user chose.
#[derive(Debug)]
pub(super) struct Dumps {
    dir: PathBuf,
    given: AtomicUsize,
}

/// A directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("write the memory of guests into {}", .dir.display())]
pub(super) struct DumpError {
    dir: PathBuf,
    source: io::Error,
}

impl Dumps {
    /// Makes the directory if it is missing, and checks that files can be made in it: that is
    /// better known before a guest dies.
    pub(super) fn open(dir: &Path) -> Result<Self, DumpError> {
        let usable = fs::create_dir_all(dir)
            .and_then(|()| dir.canonicalize())
            .and_then(|dir| tempfile::tempfile_in(&dir).map(|_| dir));
        match usable {
            Ok(dir) => Ok(Self { dir, given: AtomicUsize::new(0) }),
            Err(source) => Err(DumpError { dir: dir.to_owned(), source }),
        }
    }

    /// A file for the next guest, which no other guest gets, of this process or of another.
    pub(super) fn next(&self, release: &str) -> PathBuf {
        loop {
            let number = self.given.fetch_add(1, Ordering::Relaxed);
            let name = format!("{release}-{}-{number}.vmcore", process::id());
            let file = self.dir.join(name);
            if !file.exists() {
                return file;
            }
        }
    }
}

/// The report of a dump: `result` is QEMU's.
pub(super) fn incident(file: &Path, result: Result<(), String>) -> Incident {
    Incident::Dumped(match result {
        Ok(()) => MemoryDump::File(file.display().to_string()),
        Err(why) => MemoryDump::Failed(why),
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn every_guest_gets_a_file_of_its_own() {
        let dir = TempDir::new().unwrap();
        let dumps = Dumps::open(&dir.path().join("missing/so/far")).unwrap();
        let first = dumps.next("6.12.94");
        fs::write(dumps.dir.join(format!("6.12.94-{}-1.vmcore", process::id())), "old").unwrap();
        let second = dumps.next("6.12.94");
        assert!(!first.exists() && !second.exists() && first != second);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("a-file");
        fs::write(&file, "").unwrap();
        let error = Dumps::open(&file).unwrap_err();
        assert!(error.to_string().ends_with("a-file"), "{error}");
    }
}
