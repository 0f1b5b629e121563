//! Errors of unpacking.

use std::io;
use std::path::PathBuf;

use crate::kernel::deb::DebError;
use crate::source::version::NotATree;

/// A kernel source that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// As given by the user.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another kind of file.
    #[error(
        "unpack {}: unknown archive format; give a .tar, a .tar.gz, .tar.xz, .tar.zst or .tar.bz2, \
         or Debian's linux-source-*.deb", .path.display()
    )]
    NotAnArchive {
        /// As given by the user.
        path: PathBuf,
    },
    /// A Debian package without a kernel source.
    #[error(
        "find a kernel source in package {package}: it has no usr/src/linux-source-*.tar.*; \
         packages with a kernel source are called linux-source-*"
    )]
    NoSource {
        /// Package name and version.
        package: String,
    },
    /// A Debian package that cannot be read.
    #[error("read {}", .path.display())]
    Deb {
        /// As given by the user.
        path: PathBuf,
        /// The reason.
        source: DebError,
    },
    /// The archive is truncated or corrupt.
    #[error("unpack {}: it is damaged or truncated; fetch it again", .path.display())]
    Damaged {
        /// As given by the user.
        path: PathBuf,
        /// The decoder's error.
        source: io::Error,
    },
    /// An entry that no kernel source has.
    #[error("unpack {}: its entry {entry} {what}, unlike any in a kernel source", .path.display())]
    Refused {
        /// As given by the user.
        path: PathBuf,
        /// Name of the entry.
        entry: String,
        /// The reason, as a clause without its subject.
        what: &'static str,
    },
    /// The archive exceeds the limit.
    #[error(
        "unpack {}: it grows past {} GiB or {} files and directories, which no kernel source does",
        .path.display(), .bytes >> 30, .entries
    )]
    TooLarge {
        /// As given by the user.
        path: PathBuf,
        /// The limit, in bytes.
        bytes: u64,
        /// The limit, in files and directories.
        entries: u64,
    },
    /// The archive does not have a kernel source.
    #[error("use {} as a kernel source", .path.display())]
    NotAKernel {
        /// As given by the user.
        path: PathBuf,
        /// The reason.
        source: NotATree,
    },
    /// The user interrupted it.
    #[error("unpack {}: interrupted", .0.display())]
    Interrupted(PathBuf),
    /// The filesystem or the user's quota is full.
    #[error(
        "unpack {} into {}: no space left; a kernel source needs about 2 GB", .path.display(),
        .dir.display()
    )]
    NoSpace {
        /// As given by the user.
        path: PathBuf,
        /// The target directory.
        dir: PathBuf,
    },
    /// Any other failure to write.
    #[error("unpack {} into {}", .path.display(), .dir.display())]
    Write {
        /// As given by the user.
        path: PathBuf,
        /// The target directory.
        dir: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
