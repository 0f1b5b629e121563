//! The files of a machine: of this one, or of one that perfsec reaches.

use std::io;
use std::path::Path;

use super::{Limit, SYSTEM_FILE, read, text};

/// The files of a machine.
pub(crate) trait Files {
    /// Reads a regular file; the path is absolute.
    ///
    /// # Errors
    ///
    /// The error of the machine's system, or one that names the limit.
    fn read(&self, path: &str, limit: &'static Limit) -> io::Result<Vec<u8>>;

    /// Reads a file that must be text in UTF-8.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    fn text(&self, path: &str, limit: &'static Limit) -> io::Result<String> {
        text(self.read(path, limit)?)
    }

    /// True if there is such a file, even if only others may read it.
    fn exists(&self, path: &str) -> bool {
        match self.read(path, &SYSTEM_FILE) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalFiles;

impl Files for LocalFiles {
    fn read(&self, path: &str, limit: &'static Limit) -> io::Result<Vec<u8>> {
        read(Path::new(path), limit)
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }
}
