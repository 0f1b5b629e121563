//! Unpacks kernel sources from tarballs and Debian packages.
//!
//! Archives are not trusted: nothing is written outside the directory, no link leaves it, and the
//! size is limited to that of a kernel source.

mod entry;
mod error;
mod links;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;
use tempfile::TempDir;

use self::entry::{LEAVES, check_entry};
pub use self::error::UnpackError;
use self::links::Links;
use super::version::version_of_tree;
use crate::foreign;
use crate::foreign::meter::{LONGEST_HEADER, Meter, MeteredReader, ReadFailure};
use crate::interrupt::Interrupt;
use crate::kernel::KernelVersion;
use crate::kernel::deb::{self, DebError};
use crate::kernel::packing::Packing;

/// Four times the files and directories of a kernel source.
const ENTRIES: u64 = 500_000;

/// The limit for an unpacked archive.
#[derive(Clone, Copy, Debug)]
struct SizeLimit {
    /// Sum of the file sizes.
    bytes: u64,
    /// Files, directories and links, also directories that only paths name.
    entries: u64,
}

/// Unpacks a kernel source into an empty directory and returns its version. The directory becomes
/// the top of the tree: a directory around the whole archive is removed.
///
/// # Errors
///
/// See [`UnpackError`]. The directory may not be empty if the source is not that of a kernel.
pub fn unpack(
    archive: &Path,
    into: &Path,
    interrupt: &Interrupt,
) -> Result<KernelVersion, UnpackError> {
    let limit = SizeLimit { bytes: foreign::SOURCE.bytes, entries: ENTRIES };
    unpack_within(archive, into, limit, interrupt)
}

fn unpack_within(
    archive: &Path,
    into: &Path,
    limit: SizeLimit,
    interrupt: &Interrupt,
) -> Result<KernelVersion, UnpackError> {
    let job = UnpackJob { path: archive, dir: into, limit, interrupt };
    let unreadable = |source| UnpackError::Read { path: archive.to_path_buf(), source };
    let mut file = foreign::open(archive).map_err(unreadable)?;
    let mut start = Vec::new();
    file.by_ref().take(512).read_to_end(&mut start).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;

    let staging = TempDir::new_in(into).map_err(|error| job.write(error))?;
    if start.starts_with(b"!<arch>\n") {
        job.unpack_deb(file, staging.path())?;
    } else {
        let packing = Packing::detect(&start).unwrap_or(Packing::Plain);
        job.unpack_tar(packing.open(file).map_err(|error| job.damaged(error))?, staging.path())?;
    }
    job.move_up(staging.path())?;
    drop(staging);
    version_of_tree(into)
        .map_err(|source| UnpackError::NotAKernel { path: archive.to_path_buf(), source })
}

/// Unpacks one archive into one directory.
#[derive(Clone, Copy)]
struct UnpackJob<'a> {
    path: &'a Path,
    dir: &'a Path,
    limit: SizeLimit,
    interrupt: &'a Interrupt,
}

/// A failure to unpack the source in a Debian package.
enum DebUnpackError {
    Package(DebError),
    Source(UnpackError),
}

impl From<DebError> for DebUnpackError {
    fn from(error: DebError) -> Self {
        Self::Package(error)
    }
}

impl UnpackJob<'_> {
    /// Unpacks the tarball in a package.
    fn unpack_deb(self, package: File, to: &Path) -> Result<(), UnpackError> {
        let found = deb::with_content(package, self.interrupt, |content| {
            let (mut archive, meter) = deb::open_content(content, self.interrupt);
            for entry in archive.entries().map_err(DebError::from)? {
                let entry = entry.map_err(DebError::from)?;
                meter.allow(entry.size().saturating_add(LONGEST_HEADER));
                let path = entry.path().map_err(DebError::from)?.into_owned();
                let Some(packing) = tarball(&path) else { continue };
                let source = packing.open(entry).map_err(DebError::from)?;
                self.unpack_tar(source, to).map_err(DebUnpackError::Source)?;
                return Ok(true);
            }
            Ok(false)
        });
        match found {
            Ok((_, true)) => Ok(()),
            Ok((control, false)) => {
                let package = format!("{} {}", control.package, control.version);
                Err(UnpackError::NoSource { package })
            }
            Err(DebUnpackError::Source(error)) => Err(error),
            Err(DebUnpackError::Package(DebError::Damaged(error))) => Err(self.damaged(error)),
            Err(_) if self.interrupt.is_raised() => {
                Err(UnpackError::Interrupted(self.path.to_path_buf()))
            }
            Err(DebUnpackError::Package(source)) => {
                Err(UnpackError::Deb { path: self.path.to_path_buf(), source })
            }
        }
    }

    fn unpack_tar(self, mut plain: impl Read, to: &Path) -> Result<(), UnpackError> {
        let mut start = Vec::new();
        plain.by_ref().take(512).read_to_end(&mut start).map_err(|error| self.damaged(error))?;
        if start.get(257..262) != Some(b"ustar") {
            return Err(self.not_an_archive());
        }
        let meter = Rc::new(Meter::default());
        let inner = start.as_slice().chain(plain);
        let mut archive = tar::Archive::new(MeteredReader::new(inner, &meter, self.interrupt));
        // The modes of a git checkout.
        archive.set_mask(0o022);
        let failed = |error| self.failed(error, &meter);
        let (mut bytes, mut count) = (self.limit.bytes, self.limit.entries);
        let (mut links, mut directories) = (Links::default(), Directories::default());
        meter.allow(LONGEST_HEADER);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            bytes = bytes.checked_sub(entry.size()).ok_or_else(|| self.too_large())?;
            meter.allow(entry.size() + LONGEST_HEADER);
            if entry.header().entry_type() != EntryType::XGlobalHeader {
                let path = entry.path().map_err(failed)?.into_owned();
                let link = entry.link_name().map_err(failed)?.unwrap_or_default().into_owned();
                let kind = entry.header().entry_type();
                let target = check_entry(kind, &path, &link, &mut links)
                    .map_err(|what| self.refused(&path, what))?;
                let made = 1 + directories.add(target.parent());
                count = count.checked_sub(made).ok_or_else(|| self.too_large())?;
                if target.components().any(|part| part.as_os_str() == ".git") {
                    // A repository is not part of the source, and may have hooks.
                } else if kind == EntryType::Directory {
                    // Ignore its mode: entries that follow are written into it.
                    fs::create_dir_all(to.join(&target)).map_err(failed)?;
                } else {
                    entry.unpack_in(to).map_err(failed)?;
                }
            }
            // Skip the rest of the entry, within the same limit.
            io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
            meter.allow(LONGEST_HEADER);
        }
        if meter.failed().is_some() {
            return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
        // Read to the end: the checksum of the compressed data is there.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
        let top = only_directory(to).map_err(|error| self.write(error))?.is_some();
        match links.find_escape(usize::from(top)) {
            Some(link) => Err(self.refused(link, LEAVES)),
            None => Ok(()),
        }
    }

    /// Moves the content of the staging directory, or of the only directory in it, to the target.
    fn move_up(self, staging: &Path) -> Result<(), UnpackError> {
        let moved = || -> io::Result<()> {
            let top = only_directory(staging)?.unwrap_or_else(|| staging.to_path_buf());
            for entry in fs::read_dir(&top)? {
                let entry = entry?;
                fs::rename(entry.path(), self.dir.join(entry.file_name()))?;
            }
            Ok(())
        };
        moved().map_err(|error| self.write(error))
    }

    /// Converts an error. The meter knows if it came from the archive or from writing.
    fn failed(self, error: io::Error, meter: &Meter) -> UnpackError {
        match meter.failed() {
            Some(ReadFailure::Exceeded) => self.too_large(),
            Some(ReadFailure::Interrupted) => UnpackError::Interrupted(self.path.to_path_buf()),
            Some(ReadFailure::Reading | ReadFailure::Ended) => self.damaged(error),
            None => match error.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem => self.write(error),
                // Names that no filesystem accepts, a directory over a file, invalid numbers.
                _ => self.damaged(error),
            },
        }
    }

    fn write(self, source: io::Error) -> UnpackError {
        let (path, dir) = (self.path.to_path_buf(), self.dir.to_path_buf());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                UnpackError::NoSpace { path, dir }
            }
            _ => UnpackError::Write { path, dir, source },
        }
    }

    fn damaged(self, source: io::Error) -> UnpackError {
        UnpackError::Damaged { path: self.path.to_path_buf(), source }
    }

    fn refused(self, entry: &Path, what: &'static str) -> UnpackError {
        let entry = entry.to_string_lossy().into_owned();
        UnpackError::Refused { path: self.path.to_path_buf(), entry, what }
    }

    fn too_large(self) -> UnpackError {
        let SizeLimit { bytes, entries } = self.limit;
        UnpackError::TooLarge { path: self.path.to_path_buf(), bytes, entries }
    }

    fn not_an_archive(self) -> UnpackError {
        UnpackError::NotAnArchive { path: self.path.to_path_buf() }
    }
}

/// The directories that entries are in.
#[derive(Default)]
struct Directories(HashSet<PathBuf>);

impl Directories {
    /// Adds a directory and those above it; returns the number of new ones.
    fn add(&mut self, directory: Option<&Path>) -> u64 {
        let mut new = 0;
        for above in directory.into_iter().flat_map(Path::ancestors) {
            if above.as_os_str().is_empty() || !self.0.insert(above.to_path_buf()) {
                break;
            }
            new += 1;
        }
        new
    }
}

/// The compression of the source tarball, if this file of a Debian package is one.
fn tarball(path: &Path) -> Option<Packing> {
    match deb::components(path).as_slice() {
        ["usr", "src", name] => {
            let (_, ending) = name.strip_prefix("linux-source-")?.rsplit_once(".tar")?;
            Packing::from_ending(ending)
        }
        _ => None,
    }
}

/// The only entry of a directory, if it is a directory.
fn only_directory(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut entries = fs::read_dir(dir)?.take(2).collect::<io::Result<Vec<_>>>()?;
    let one = entries.pop().filter(|_| entries.is_empty());
    match one {
        Some(entry) if entry.file_type()?.is_dir() => Ok(Some(entry.path())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
