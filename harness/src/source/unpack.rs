//! Unpacks kernel sources from tarballs and Debian packages.
//!
//! Archives are not trusted: nothing is written outside the directory, no link leaves it, and the
//! size is limited to that of a kernel source.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;
use tempfile::TempDir;

use super::links::Links;
use super::meter::{Meter, MeteredReader, ReadFailure};
use super::version::{NotATree, version_of_tree};
use crate::kernel::KernelVersion;
use crate::kernel::deb::{self, DebError};
use crate::kernel::packing::Packing;
use crate::printable::printable_line;

/// Four times the size of a kernel source.
const LIMIT: SizeLimit = SizeLimit { bytes: 8 << 30, entries: 500_000 };

/// Bytes between two files of an archive: at most a long name, a long link name and headers.
const LONGEST_HEADER: u64 = 1 << 20;

const LEAVES: &str = "is a link that leaves the archive";

/// The limit for an unpacked archive.
#[derive(Clone, Copy, Debug)]
struct SizeLimit {
    /// Sum of the file sizes.
    bytes: u64,
    /// Files, directories and links.
    entries: u64,
}

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
        "unpack {}: it grows past {} GiB or {} files, which no kernel source does",
        .path.display(), .bytes >> 30, .entries
    )]
    TooLarge {
        /// As given by the user.
        path: PathBuf,
        /// The limit, in bytes.
        bytes: u64,
        /// The limit, in entries.
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

/// Unpacks a kernel source into an empty directory and returns its version. The directory becomes
/// the top of the tree: a directory around the whole archive is removed.
///
/// # Errors
///
/// See [`UnpackError`]. The directory may not be empty if the source is not that of a kernel.
pub fn unpack(archive: &Path, into: &Path) -> Result<KernelVersion, UnpackError> {
    unpack_within(archive, into, LIMIT)
}

fn unpack_within(
    archive: &Path,
    into: &Path,
    limit: SizeLimit,
) -> Result<KernelVersion, UnpackError> {
    let job = UnpackJob { path: archive, dir: into, limit };
    let unreadable = |source| UnpackError::Read { path: archive.to_path_buf(), source };
    let mut file = File::open(archive).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(job.not_an_archive());
    }
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
        let found = deb::with_content(package, |content| {
            let mut archive = tar::Archive::new(content);
            for entry in archive.entries().map_err(DebError::from)? {
                let entry = entry.map_err(DebError::from)?;
                let path = entry.path().map_err(DebError::from)?.into_owned();
                let Some(packing) = tarball(&path) else { continue };
                let source = packing.open(entry).map_err(DebError::from)?;
                self.unpack_tar(source, to).map_err(DebUnpackError::Source)?;
                return Ok(true);
            }
            Ok(false)
        });
        match found {
            Ok((_, _, true)) => Ok(()),
            Ok((package, version, false)) => {
                let package = printable_line(&format!("{package} {version}"));
                Err(UnpackError::NoSource { package })
            }
            Err(DebUnpackError::Source(error)) => Err(error),
            Err(DebUnpackError::Package(DebError::Damaged(error))) => Err(self.damaged(error)),
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
        let mut archive = tar::Archive::new(MeteredReader { inner, meter: Rc::clone(&meter) });
        // The modes of a git checkout.
        archive.set_mask(0o022);
        let failed = |error| self.failed(error, &meter);
        let (mut bytes, mut count) = (self.limit.bytes, self.limit.entries);
        let mut links = Links::default();
        meter.allow(LONGEST_HEADER);
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            (bytes, count) = match (bytes.checked_sub(entry.size()), count.checked_sub(1)) {
                (Some(bytes), Some(count)) => (bytes, count),
                _ => return Err(self.too_large()),
            };
            meter.allow(entry.size() + LONGEST_HEADER);
            if entry.header().entry_type() != EntryType::XGlobalHeader {
                let path = entry.path().map_err(failed)?.into_owned();
                let link = entry.link_name().map_err(failed)?.unwrap_or_default().into_owned();
                let kind = entry.header().entry_type();
                let target = check_entry(kind, &path, &link, &mut links)
                    .map_err(|what| self.refused(&path, what))?;
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
            return Err(self.damaged(io::Error::from(io::ErrorKind::UnexpectedEof)));
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
        let entry = printable_line(&entry.to_string_lossy());
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

/// The path of an entry below the top of its archive, or the reason to refuse it.
fn check_entry(
    kind: EntryType,
    path: &Path,
    link: &Path,
    links: &mut Links,
) -> Result<PathBuf, &'static str> {
    let target = inner(path).ok_or("has a name that leaves the archive")?;
    if links.block(&target) {
        return Err("goes through a link");
    }
    match kind {
        EntryType::Regular
        | EntryType::Continuous
        | EntryType::GNUSparse
        | EntryType::Directory => {}
        EntryType::Symlink => links.add(&target, link).ok_or(LEAVES)?,
        EntryType::Link => {
            let original = inner(link).ok_or(LEAVES)?;
            // It would be the same symbolic link with another path.
            if links.cover(&original) {
                return Err("is a hard link to a link");
            }
        }
        _ => return Err("is a device or a pipe"),
    }
    Ok(target)
}

/// A relative path without `.` components; `None` if it has `..` or is absolute.
fn inner(path: &Path) -> Option<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
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
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::kernel::Compression;
    use crate::kernel::fixture::{deb_of_bytes, pack};

    const MAKEFILE: &str = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n";

    /// An entry of an archive: its path, then its content or link target.
    #[derive(Clone, Copy)]
    enum TarEntry<'a> {
        File(&'a str, &'a str),
        Script(&'a str),
        Directory(&'a str),
        Link(&'a str, &'a str),
        HardLink(&'a str, &'a str),
        Pipe(&'a str),
        /// The first entry of a `git archive`.
        Comment,
    }
    use TarEntry::{Comment, Directory, File as Plain, HardLink, Link, Pipe, Script};

    const TREE: [TarEntry; 7] = [
        Directory("linux-6.1/"),
        Plain("linux-6.1/Makefile", MAKEFILE),
        Plain("linux-6.1/Kconfig", "mainmenu"),
        Directory("linux-6.1/scripts/"),
        Script("linux-6.1/scripts/config"),
        Link("linux-6.1/scripts/top", "../Makefile"),
        HardLink("linux-6.1/scripts/same", "linux-6.1/Kconfig"),
    ];

    fn tar(entries: &[TarEntry]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in entries {
            let (kind, name, content, link) = match *entry {
                Plain(name, content) => (EntryType::Regular, name, content, ""),
                Script(name) => (EntryType::Regular, name, "#!/bin/sh\n", ""),
                Directory(name) => (EntryType::Directory, name, "", ""),
                Link(name, to) => (EntryType::Symlink, name, "", to),
                HardLink(name, to) => (EntryType::Link, name, "", to),
                Pipe(name) => (EntryType::Fifo, name, "", ""),
                Comment => (EntryType::XGlobalHeader, "pax_global_header", "11 comment=x\n", ""),
            };
            let mut header = tar::Header::new_ustar();
            // Set the raw name: the builder would refuse one that leaves the archive.
            let raw = header.as_ustar_mut().unwrap();
            raw.name[..name.len()].copy_from_slice(name.as_bytes());
            raw.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(if matches!(entry, Script(_)) { 0o775 } else { 0o664 });
            header.set_mtime(1_234_567_890);
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    struct UnpackFixture {
        dir: TempDir,
    }

    impl UnpackFixture {
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            fs::create_dir(dir.path().join("tree")).unwrap();
            Self { dir }
        }

        fn tree(&self) -> PathBuf {
            self.dir.path().join("tree")
        }

        fn unpack(&self, bytes: &[u8], limit: SizeLimit) -> Result<KernelVersion, UnpackError> {
            let archive = self.dir.path().join("archive");
            fs::write(&archive, bytes).unwrap();
            unpack_within(&archive, &self.tree(), limit)
        }
    }

    fn refusal(entries: &[TarEntry]) -> String {
        UnpackFixture::new().unpack(&tar(entries), LIMIT).unwrap_err().to_string()
    }

    #[rstest]
    #[case(tar(&TREE))]
    #[case(pack(Compression::Gzip, &tar(&TREE)))]
    #[case(pack(Compression::Bzip2, &tar(&TREE)))]
    #[case(pack(Compression::Xz, &tar(&TREE)))]
    #[case(pack(Compression::Zstd, &tar(&TREE)))]
    #[case(deb_of_bytes("", &[
        ("./usr/share/doc/linux-source-6.1.tar.xz", b"not this"),
        ("./usr/src/linux-source-6.1.tar.xz", &pack(Compression::Xz, &tar(&TREE))),
    ]))]
    #[case(deb_of_bytes(".xz", &[
        ("./usr/src/linux-source-7.3.tar.zst", &pack(Compression::Zstd, &tar(&TREE))),
    ]))]
    fn a_source_is_unpacked_from_every_format(#[case] bytes: Vec<u8>) {
        let fixture = UnpackFixture::new();
        let version = fixture.unpack(&bytes, LIMIT).unwrap();
        assert_eq!(version, KernelVersion::new(6, 1, 192));
        let tree = fixture.tree();
        assert_eq!(fs::read_to_string(tree.join("Kconfig")).unwrap(), "mainmenu");
        assert_eq!(fs::read_to_string(tree.join("scripts/same")).unwrap(), "mainmenu");
        assert_eq!(fs::read_to_string(tree.join("scripts/top")).unwrap(), MAKEFILE);
        assert_eq!(fs::read_dir(&tree).unwrap().count(), 3);
    }

    #[test]
    fn files_keep_their_time_and_their_executable_bit() {
        let fixture = UnpackFixture::new();
        fixture.unpack(&tar(&TREE), LIMIT).unwrap();
        let data = |name: &str| fs::metadata(fixture.tree().join(name)).unwrap();
        assert_eq!(data("scripts/config").permissions().mode() & 0o777, 0o755);
        assert_eq!(data("Makefile").permissions().mode() & 0o777, 0o644);
        let then = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        assert_eq!(data("Makefile").modified().unwrap(), then);
        assert_eq!(data("scripts/config").modified().unwrap(), then);
    }

    #[test]
    fn an_archive_may_lack_a_directory_around_the_tree() {
        let fixture = UnpackFixture::new();
        let entries = [
            Comment,
            Directory("./"),
            Plain("./Makefile", MAKEFILE),
            Plain("./Kconfig", ""),
            Plain("./.git/hooks/post-checkout", "mine"),
            Link("./scripts/dtc/dts", "../../arch/dts"),
        ];
        fixture.unpack(&tar(&entries), LIMIT).unwrap();
        assert!(fixture.tree().join("scripts/dtc/dts").is_symlink());
        assert!(!fixture.tree().join(".git").exists());
    }

    #[rstest]
    #[case(&[Plain("../evil", "x")], "../evil has a name that leaves the archive")]
    #[case(&[Plain("linux/../../evil", "x")], "has a name that leaves the archive")]
    #[case(&[Plain("/etc/evil", "x")], "has a name that leaves the archive")]
    #[case(&[Directory("../evil")], "has a name that leaves the archive")]
    #[case(&[Link("linux/a", "/etc/passwd")], "linux/a is a link that leaves the archive")]
    #[case(&[Link("linux/a", "../../b")], "is a link that leaves the archive")]
    #[case(&[Directory("linux"), Link("linux/a", "../b")], "is a link that leaves the archive")]
    #[case(&[Link("linux/a", "b"), Plain("linux/a/c", "x")], "linux/a/c goes through a link")]
    #[case(&[Link("linux/a/b/c", "../../d"), HardLink("e", "linux/a/b/c")], "hard link to a link")]
    #[case(&[HardLink("linux/a", "/etc/passwd")], "is a link that leaves the archive")]
    #[case(&[HardLink("linux/a", "../b")], "is a link that leaves the archive")]
    #[case(&[Pipe("linux/a")], "linux/a is a device or a pipe")]
    #[case(&[Pipe("a\u{1b}[2J")], r"a\u{1b}[2J is a device")]
    fn an_archive_that_leaves_its_directory_is_refused(
        #[case] entries: &[TarEntry],
        #[case] words: &str,
    ) {
        let error = refusal(entries);
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn nothing_is_written_through_an_existing_link() {
        let fixture = UnpackFixture::new();
        let outside = fixture.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, fixture.tree().join("linux")).unwrap();
        let _ = fixture.unpack(&tar(&[Directory("linux"), Plain("linux/a", "x")]), LIMIT);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[rstest]
    #[case(b"")]
    #[case(b"some text")]
    #[case(&[0; 2048])]
    #[case(&pack(Compression::Xz, b"some text"))]
    fn the_error_for_another_file_lists_the_formats(#[case] bytes: &[u8]) {
        let error = UnpackFixture::new().unpack(bytes, LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::NotAnArchive { .. }), "{error}");
        assert!(error.to_string().contains("linux-source-*.deb"), "{error}");
    }

    #[test]
    fn missing_files_and_directories_are_refused() {
        let dir = TempDir::new().unwrap();
        let missing = unpack(&dir.path().join("missing"), dir.path()).unwrap_err();
        assert!(matches!(missing, UnpackError::Read { .. }), "{missing}");
        let directory = unpack(dir.path(), dir.path()).unwrap_err();
        assert!(matches!(directory, UnpackError::NotAnArchive { .. }), "{directory}");
    }

    #[test]
    fn the_error_for_another_package_names_it() {
        let deb = deb_of_bytes(".xz", &[("./boot/vmlinuz-6.1", b"kernel")]);
        let error = UnpackFixture::new().unpack(&deb, LIMIT).unwrap_err();
        assert!(error.to_string().contains("package linux-image-test 6.1.192-2"), "{error}");
    }

    #[test]
    fn the_error_for_another_archive_says_what_it_lacks() {
        let error = UnpackFixture::new()
            .unpack(&tar(&[Plain("perf/Makefile", "all:")]), LIMIT)
            .unwrap_err();
        let UnpackError::NotAKernel { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains("VERSION"), "{source}");
    }

    #[rstest]
    fn a_truncated_archive_is_damaged(
        #[values(None, Some(Compression::Gzip), Some(Compression::Xz), Some(Compression::Zstd))]
        packing: Option<Compression>,
        #[values(1, 2, 3)] quarters: usize,
    ) {
        let long = "x".repeat(3000);
        let entries = [TREE.as_slice(), &[Plain("linux-6.1/COPYING", &long)]].concat();
        let mut bytes = tar(&entries);
        if let Some(packing) = packing {
            bytes = pack(packing, &bytes);
        } else {
            bytes.truncate(512 * (bytes.len() / 512));
        }
        let fixture = UnpackFixture::new();
        let error = fixture.unpack(&bytes[..bytes.len() * quarters / 4], LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
        fixture.unpack(&bytes, LIMIT).unwrap();
    }

    #[test]
    fn an_uncompressed_archive_truncated_between_two_files_is_damaged() {
        let bytes = tar(&TREE);
        let whole = bytes.len() - 1024;
        let error = UnpackFixture::new().unpack(&bytes[..whole], LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
    }

    #[test]
    fn an_archive_with_a_wrong_checksum_is_damaged() {
        let mut bytes = pack(Compression::Gzip, &tar(&TREE));
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        let error = UnpackFixture::new().unpack(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
    }

    #[rstest]
    #[case(SizeLimit { bytes: 50, entries: 100 })]
    #[case(SizeLimit { bytes: 1 << 20, entries: 3 })]
    fn an_archive_larger_than_a_kernel_source_is_refused(#[case] limit: SizeLimit) {
        let error = UnpackFixture::new().unpack(&tar(&TREE), limit).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_huge_name_is_refused() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(2 * LONGEST_HEADER);
        header.set_cksum();
        let name = vec![b'a'; usize::try_from(2 * LONGEST_HEADER).unwrap()];
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, name.as_slice()).unwrap();
        let bytes = pack(Compression::Gzip, &archive.into_inner().unwrap());
        let error = UnpackFixture::new().unpack(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_archive_never_panics_and_never_leaves_its_directory(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = tar(&TREE);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            let fixture = UnpackFixture::new();
            let _ = fixture.unpack(&bytes, LIMIT);
            prop_assert_eq!(fs::read_dir(fixture.dir.path()).unwrap().count(), 2);
        }
    }
}
