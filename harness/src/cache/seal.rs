//! Seals of entries: what was written, to compare with what is found.
//!
//! A seal has the length and the SHA-256 of the content, and the identity of the file that was seen
//! to have it. The kernel changes a file's ctime with every write, and nobody can set it, so a file
//! with the sealed identity need not be read again. Any other file is read and hashed.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::foreign;
use crate::interrupt::Interrupt;
use crate::kernel::hash;

/// Nanoseconds by which a file's ctime may lag behind the clock: filesystems use the time of the
/// last timer tick (`ktime_get_coarse_real_ts64()`), at most 10 ms ago, with as much to spare.
const TICK: i64 = 20_000_000;

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Bytes.
    pub(super) length: u64,
    /// In hexadecimal.
    pub(super) sha256: String,
}

/// A file's identity, from stat(2). The device number is left out: it may change when the
/// filesystem is mounted again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    inode: u64,
    length: u64,
    /// Nanoseconds since 1970, as the next one.
    mtime: i64,
    ctime: i64,
}

/// The seal of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) content: Content,
    file: Identity,
    /// When the file began to be compared with the content, in nanoseconds since 1970.
    compared: i64,
}

/// The difference between an entry and what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Its seal is missing or cannot be read.
    #[error("has no seal: an older perfsec or another program wrote it")]
    Unsealed,
    /// It was cut off or extended.
    #[error("has {found} bytes, and {written} were written")]
    Length {
        /// Bytes that were written.
        written: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// It has the right length and another SHA-256.
    #[error("has other content than was written")]
    Content,
    /// It is a directory, a pipe or a device.
    #[error("is not a file")]
    NotAFile,
    /// The system's error.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

impl Content {
    /// The content of a file that holds these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len() as u64, sha256: hash::sha256(bytes) }
    }
}

impl Seal {
    /// Seals a file that was found to have this content since `compared`.
    pub(super) fn new(content: Content, file: &Metadata, compared: SystemTime) -> Self {
        Self { content, file: Identity::of(file), compared: nanoseconds(compared) }
    }

    /// Parses the text of a seal. Returns `None` if it is malformed.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// Its text.
    pub(super) fn text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// True if this file cannot have changed since it was compared.
    pub(super) fn vouches_for(&self, file: &Metadata) -> bool {
        // A write in the tick in which the comparison began need not show in the ctime. The index
        // of git calls such a file racily clean.
        let settled = self.file.ctime.saturating_add(TICK) < self.compared;
        settled && self.file == Identity::of(file)
    }
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        let time = |seconds: i64, nanoseconds| {
            seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
        };
        Self {
            inode: file.ino(),
            length: file.len(),
            mtime: time(file.mtime(), file.mtime_nsec()),
            ctime: time(file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Opens the file of an entry. Returns `None` if the file does not exist.
pub(super) fn open(path: &Path) -> Result<Option<(File, Metadata)>, Damage> {
    match foreign::open(path).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((data, file)) => Ok(Some((file, data))),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            io::ErrorKind::InvalidInput => Err(Damage::NotAFile),
            _ => Err(error.into()),
        },
    }
}

/// Compares an open file with the content that was written.
pub(super) fn compare(file: &mut File, data: &Metadata, content: &Content) -> Result<(), Damage> {
    check_length(data.len(), content)?;
    check_hash(&hash::sha256_file(file, &Interrupt::default())?, content)
}

/// Reads an open file that must have this content.
pub(super) fn read(file: &mut File, data: &Metadata, content: &Content) -> Result<Vec<u8>, Damage> {
    check_length(data.len(), content)?;
    let mut bytes = Vec::new();
    file.take(content.length).read_to_end(&mut bytes)?;
    check_hash(&hash::sha256(&bytes), content)?;
    Ok(bytes)
}

fn check_length(found: u64, content: &Content) -> Result<(), Damage> {
    let written = content.length;
    if found == written { Ok(()) } else { Err(Damage::Length { written, found }) }
}

fn check_hash(found: &str, content: &Content) -> Result<(), Damage> {
    if found == content.sha256 { Ok(()) } else { Err(Damage::Content) }
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    /// A file, and a seal that compared it this long after its last change.
    fn sealed(after: Duration) -> (tempfile::TempDir, std::path::PathBuf, Seal) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "content").unwrap();
        let data = fs::metadata(&path).unwrap();
        let compared = data.modified().unwrap() + after;
        (directory, path, Seal::new(Content::of(b"content"), &data, compared))
    }

    #[test]
    fn a_seal_vouches_for_a_file_that_did_not_change() {
        let (_directory, path, seal) = sealed(Duration::from_secs(1));
        assert!(seal.vouches_for(&fs::metadata(path).unwrap()));
        assert_eq!(Seal::parse(&seal.text().unwrap()), Some(seal));
    }

    #[test]
    fn a_seal_does_not_vouch_for_a_file_that_was_compared_in_the_tick_of_its_last_change() {
        let (_directory, path, seal) = sealed(Duration::from_millis(10));
        assert!(!seal.vouches_for(&fs::metadata(path).unwrap()));
    }

    #[test]
    fn a_change_shows_even_if_length_and_mtime_are_restored() {
        let (_directory, path, seal) = sealed(Duration::from_secs(1));
        let mtime = fs::metadata(&path).unwrap().modified().unwrap();
        // At least one tick after the file was made.
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "c0ntent").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(mtime).unwrap();
        let data = fs::metadata(&path).unwrap();
        assert_eq!((data.len(), data.modified().unwrap()), (7, mtime));
        assert!(!seal.vouches_for(&data));
    }
}
