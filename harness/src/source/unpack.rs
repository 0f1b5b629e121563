//! Kernel sources that are no git tree: tarballs and Debian's packages, unpacked into a directory.
//!
//! An archive comes from anywhere. Nothing of it is written outside the directory, no link in it
//! leads out, and it may not be larger than a kernel could be.

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

/// Four times what a kernel's source has.
const LIMIT: SizeLimit = SizeLimit { bytes: 8 << 30, entries: 500_000 };

/// Between two files of an archive there are at most a long name, a long link and some numbers.
const LONGEST_HEADER: u64 = 1 << 20;

const LEADS_OUT: &str = "is a link that leads out";

/// How much of an archive is believed.
#[derive(Clone, Copy, Debug)]
struct SizeLimit {
    /// Of what is unpacked.
    bytes: u64,
    /// Files, directories and links.
    entries: u64,
}

/// Why a source could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "unpack {}: it is no archive that perfsec knows; give a .tar, a .tar.gz, .tar.xz, .tar.zst \
         or .tar.bz2, or Debian's linux-source-*.deb", .path.display()
    )]
    NotAnArchive {
        /// As given.
        path: PathBuf,
    },
    /// It is a Debian package, of something else.
    #[error(
        "find a kernel source in package {package}: it has no usr/src/linux-source-*.tar.*; the \
         package is called linux-source-*"
    )]
    NoSource {
        /// Its name and version.
        package: String,
    },
    /// It is a Debian package that cannot be read.
    #[error("read {}", .path.display())]
    Deb {
        /// As given.
        path: PathBuf,
        /// Why.
        source: DebError,
    },
    /// It is cut or was changed on its way.
    #[error("unpack {}: it is damaged or cut; fetch it again", .path.display())]
    Damaged {
        /// As given.
        path: PathBuf,
        /// In the words of the decoder.
        source: io::Error,
    },
    /// It holds what no kernel source does.
    #[error("unpack {}: its entry {entry} {what}, which is in no kernel source", .path.display())]
    Refused {
        /// As given.
        path: PathBuf,
        /// The entry's name.
        entry: String,
        /// What is wrong with it, as a verb with its object.
        what: &'static str,
    },
    /// It is larger than any kernel.
    #[error(
        "unpack {}: it grows past {} GiB or {} files, which no kernel source does",
        .path.display(), .bytes >> 30, .entries
    )]
    TooLarge {
        /// As given.
        path: PathBuf,
        /// How much is believed.
        bytes: u64,
        /// How many entries are believed.
        entries: u64,
    },
    /// It was unpacked, and is no kernel.
    #[error("use {} as a kernel source", .path.display())]
    NotAKernel {
        /// As given.
        path: PathBuf,
        /// What it lacks.
        source: NotATree,
    },
    /// The filesystem or the user's quota is full.
    #[error(
        "unpack {} into {}: no space left; a kernel source needs about 2 GB", .path.display(),
        .dir.display()
    )]
    NoSpace {
        /// As given.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
    /// Any other failure to write.
    #[error("unpack {} into {}", .path.display(), .dir.display())]
    Write {
        /// As given.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Unpacks the source of a kernel into a directory that is there and empty, and returns its version.
/// The directory becomes the top of the tree, whether or not the archive has one around it.
///
/// # Errors
///
/// Whatever stands in the way. The directory may have something in it then, if it is no kernel.
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

/// One archive on its way into one directory.
#[derive(Clone, Copy)]
struct UnpackJob<'a> {
    path: &'a Path,
    dir: &'a Path,
    limit: SizeLimit,
}

/// What went wrong inside of a Debian package.
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
    /// Unpacks the tarball that is in a package.
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
        // As a checkout by git has it.
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
                let place = checked(kind, &path, &link, &mut links)
                    .map_err(|what| self.refused(&path, what))?;
                if place.components().any(|part| part.as_os_str() == ".git") {
                    // A user's own repository is no part of the source, and its hooks are not ours.
                } else if kind == EntryType::Directory {
                    // With a mode of our own: what follows is to be written into it.
                    fs::create_dir_all(to.join(&place)).map_err(failed)?;
                } else {
                    entry.unpack_in(to).map_err(failed)?;
                }
            }
            // What was not written is passed over, within the same limit.
            io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
            meter.allow(LONGEST_HEADER);
        }
        if meter.failed().is_some() {
            return Err(self.damaged(io::Error::from(io::ErrorKind::UnexpectedEof)));
        }
        // The checksum of what was packed comes after it.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(failed)?;
        let top = only_directory(to).map_err(|error| self.write(error))?.is_some();
        match links.find_escape(usize::from(top)) {
            Some(link) => Err(self.refused(link, LEADS_OUT)),
            None => Ok(()),
        }
    }

    /// Moves what is in the staging directory, or in the one directory in it, to its place.
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

    /// Whose fault an error is: the meter knows those that came from the archive.
    fn failed(self, error: io::Error, meter: &Meter) -> UnpackError {
        match meter.failed() {
            Some(ReadFailure::Exceeded) => self.too_large(),
            Some(ReadFailure::Reading | ReadFailure::Ended) => self.damaged(error),
            None => match error.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem => self.write(error),
                // Names that no filesystem takes, a directory where a file is, nonsense numbers.
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

/// How the source in a Debian package is packed, if this file of it is the source.
fn tarball(path: &Path) -> Option<Packing> {
    match deb::components(path).as_slice() {
        ["usr", "src", name] => {
            let (_, ending) = name.strip_prefix("linux-source-")?.rsplit_once(".tar")?;
            Packing::from_ending(ending)
        }
        _ => None,
    }
}

/// The place of an entry below the top of its archive, or why it may not be there.
fn checked(
    kind: EntryType,
    path: &Path,
    link: &Path,
    links: &mut Links,
) -> Result<PathBuf, &'static str> {
    let place = inner(path).ok_or("has a name that leads out")?;
    if links.block(&place) {
        return Err("goes through a link");
    }
    match kind {
        EntryType::Regular
        | EntryType::Continuous
        | EntryType::GNUSparse
        | EntryType::Directory => {}
        EntryType::Symlink => links.add(&place, link).ok_or(LEADS_OUT)?,
        EntryType::Link => {
            let target = inner(link).ok_or(LEADS_OUT)?;
            // It would be the same link in another place.
            if links.cover(&target) {
                return Err("is a hard link to a link");
            }
        }
        _ => return Err("is a device or a pipe"),
    }
    Ok(place)
}

/// A path below a directory, without the `./` that it may begin with.
fn inner(path: &Path) -> Option<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| matches!(part, Component::Normal(_)).then_some(part)).collect()
}

/// The one directory that is all there is in another.
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

    /// An entry of an archive, by its name.
    #[derive(Clone, Copy)]
    enum TarEntry<'a> {
        File(&'a str, &'a str),
        Script(&'a str),
        Directory(&'a str),
        Link(&'a str, &'a str),
        HardLink(&'a str, &'a str),
        Pipe(&'a str),
        /// What `git archive` begins with.
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
            // The builder would refuse a name that leads out.
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
    fn a_source_is_unpacked_whatever_it_is_packed_in(#[case] bytes: Vec<u8>) {
        let place = UnpackFixture::new();
        let version = place.unpack(&bytes, LIMIT).unwrap();
        assert_eq!(version, KernelVersion::new(6, 1, 192));
        let tree = place.tree();
        assert_eq!(fs::read_to_string(tree.join("Kconfig")).unwrap(), "mainmenu");
        assert_eq!(fs::read_to_string(tree.join("scripts/same")).unwrap(), "mainmenu");
        assert_eq!(fs::read_to_string(tree.join("scripts/top")).unwrap(), MAKEFILE);
        assert_eq!(fs::read_dir(&tree).unwrap().count(), 3);
    }

    #[test]
    fn files_keep_their_time_and_whether_they_are_programs() {
        let place = UnpackFixture::new();
        place.unpack(&tar(&TREE), LIMIT).unwrap();
        let data = |name: &str| fs::metadata(place.tree().join(name)).unwrap();
        assert_eq!(data("scripts/config").permissions().mode() & 0o777, 0o755);
        assert_eq!(data("Makefile").permissions().mode() & 0o777, 0o644);
        let then = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
        assert_eq!(data("Makefile").modified().unwrap(), then);
        assert_eq!(data("scripts/config").modified().unwrap(), then);
    }

    #[test]
    fn a_tree_may_stand_in_an_archive_without_a_directory_around_it() {
        let place = UnpackFixture::new();
        let entries = [
            Comment,
            Directory("./"),
            Plain("./Makefile", MAKEFILE),
            Plain("./Kconfig", ""),
            Plain("./.git/hooks/post-checkout", "mine"),
            Link("./scripts/dtc/dts", "../../arch/dts"),
        ];
        place.unpack(&tar(&entries), LIMIT).unwrap();
        assert!(place.tree().join("scripts/dtc/dts").is_symlink());
        assert!(!place.tree().join(".git").exists());
    }

    #[rstest]
    #[case(&[Plain("../evil", "x")], "../evil has a name that leads out")]
    #[case(&[Plain("linux/../../evil", "x")], "has a name that leads out")]
    #[case(&[Plain("/etc/evil", "x")], "has a name that leads out")]
    #[case(&[Directory("../evil")], "has a name that leads out")]
    #[case(&[Link("linux/a", "/etc/passwd")], "linux/a is a link that leads out")]
    #[case(&[Link("linux/a", "../../b")], "is a link that leads out")]
    #[case(&[Directory("linux"), Link("linux/a", "../b")], "is a link that leads out")]
    #[case(&[Link("linux/a", "b"), Plain("linux/a/c", "x")], "linux/a/c goes through a link")]
    #[case(&[Link("linux/a/b/c", "../../d"), HardLink("e", "linux/a/b/c")], "hard link to a link")]
    #[case(&[HardLink("linux/a", "/etc/passwd")], "is a link that leads out")]
    #[case(&[HardLink("linux/a", "../b")], "is a link that leads out")]
    #[case(&[Pipe("linux/a")], "linux/a is a device or a pipe")]
    #[case(&[Pipe("a\u{1b}[2J")], r"a\u{1b}[2J is a device")]
    fn an_archive_that_reaches_out_is_refused(#[case] entries: &[TarEntry], #[case] said: &str) {
        let told = refusal(entries);
        assert!(told.contains(said), "{told}");
    }

    #[test]
    fn nothing_is_written_through_a_link_that_was_there() {
        let place = UnpackFixture::new();
        let outside = place.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, place.tree().join("linux")).unwrap();
        let _ = place.unpack(&tar(&[Directory("linux"), Plain("linux/a", "x")]), LIMIT);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[rstest]
    #[case(b"")]
    #[case(b"some text")]
    #[case(&[0; 2048])]
    #[case(&pack(Compression::Xz, b"some text"))]
    fn what_is_no_archive_is_named(#[case] bytes: &[u8]) {
        let error = UnpackFixture::new().unpack(bytes, LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::NotAnArchive { .. }), "{error}");
        assert!(error.to_string().contains("linux-source-*.deb"), "{error}");
    }

    #[test]
    fn what_is_not_there_and_what_is_no_file_are_told() {
        let dir = TempDir::new().unwrap();
        let missing = unpack(&dir.path().join("missing"), dir.path()).unwrap_err();
        assert!(matches!(missing, UnpackError::Read { .. }), "{missing}");
        let directory = unpack(dir.path(), dir.path()).unwrap_err();
        assert!(matches!(directory, UnpackError::NotAnArchive { .. }), "{directory}");
    }

    #[test]
    fn a_package_of_something_else_is_named() {
        let deb = deb_of_bytes(".xz", &[("./boot/vmlinuz-6.1", b"kernel")]);
        let error = UnpackFixture::new().unpack(&deb, LIMIT).unwrap_err();
        assert!(error.to_string().contains("package linux-image-test 6.1.192-2"), "{error}");
    }

    #[test]
    fn an_archive_of_something_else_is_told_by_what_it_lacks() {
        let error = UnpackFixture::new()
            .unpack(&tar(&[Plain("perf/Makefile", "all:")]), LIMIT)
            .unwrap_err();
        let UnpackError::NotAKernel { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains("VERSION"), "{source}");
    }

    #[rstest]
    fn a_cut_archive_is_damaged(
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
        let place = UnpackFixture::new();
        let error = place.unpack(&bytes[..bytes.len() * quarters / 4], LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
        place.unpack(&bytes, LIMIT).unwrap();
    }

    #[test]
    fn a_plain_archive_that_is_cut_between_two_files_is_damaged() {
        let bytes = tar(&TREE);
        let whole = bytes.len() - 1024;
        let error = UnpackFixture::new().unpack(&bytes[..whole], LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_was_changed_on_its_way_is_damaged() {
        let mut bytes = pack(Compression::Gzip, &tar(&TREE));
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        let error = UnpackFixture::new().unpack(&bytes, LIMIT).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged { .. }), "{error}");
    }

    #[rstest]
    #[case(SizeLimit { bytes: 50, entries: 100 })]
    #[case(SizeLimit { bytes: 1 << 20, entries: 3 })]
    fn what_is_larger_than_a_kernel_is_refused(#[case] limit: SizeLimit) {
        let error = UnpackFixture::new().unpack(&tar(&TREE), limit).unwrap_err();
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_name_as_long_as_memory_is_refused() {
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
        fn a_damaged_archive_never_panics_and_never_reaches_out(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = tar(&TREE);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            let place = UnpackFixture::new();
            let _ = place.unpack(&bytes, LIMIT);
            prop_assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 2);
        }
    }
}
