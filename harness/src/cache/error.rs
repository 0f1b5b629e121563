//! Failures of the cache directory.

use std::io;
use std::path::{Path, PathBuf};

use super::CACHE_DIR_VARIABLE;
use super::limit::CACHE_LIMIT_VARIABLE;

/// A failure of the cache directory.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// `PERFSEC_CACHE_DIR`, `XDG_CACHE_HOME` and `HOME` are all unset.
    #[error("find a cache directory: none of {CACHE_DIR_VARIABLE}, XDG_CACHE_HOME and HOME is set")]
    NoPlace,
    /// `PERFSEC_CACHE_LIMIT` is not a size.
    #[error(
        "limit the cache to {CACHE_LIMIT_VARIABLE}={value:?}: not a size (expected `20GiB`, \
         `500MB`, or `none`)"
    )]
    Limit {
        /// Its value.
        value: String,
    },
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
    /// The command has to change the cache, and this user cannot.
    #[error("write to the cache {}: {reason}", .dir.display())]
    ReadOnly {
        /// The cache directory.
        dir: PathBuf,
        /// The system's error.
        reason: String,
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

impl CacheError {
    /// The error for a failed operation on a file of the cache in `root`.
    pub(super) fn new(root: &Path, action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { dir: root.to_path_buf() }
            }
            _ => Self::Io { action, path: path.to_path_buf(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_an_error_of_the_whole_cache() {
        let root = Path::new("/var/cache/perfsec");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = CacheError::new(root, "write", &root.join("kernel/abc"), full);
        assert!(matches!(&error, CacheError::Full { dir } if dir == root), "{error}");
        assert!(error.to_string().contains("write to /var/cache/perfsec:"), "{error}");
    }
}
