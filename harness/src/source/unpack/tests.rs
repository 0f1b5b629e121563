//! Archives of every format, and hostile ones.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::LazyLock;
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

const LIMIT: SizeLimit = SizeLimit { bytes: foreign::SOURCE.bytes, entries: ENTRIES };

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
        unpack_within(&archive, &self.tree(), limit, &Interrupt::default())
    }
}

/// The path of an entry in 48 directories.
static DEEP: LazyLock<String> = LazyLock::new(|| format!("{}b", "a/".repeat(48)));

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
#[case(&[Plain(&DEEP, "x")], "is too long or too deep")]
#[case(&[Pipe("a\u{1b}[2J")], "a\u{1b}[2J is a device")]
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
    let unpack = |path: &Path| unpack(path, dir.path(), &Interrupt::default()).unwrap_err();
    let missing = unpack(&dir.path().join("missing"));
    assert!(matches!(missing, UnpackError::Read { .. }), "{missing}");
    let directory = unpack(dir.path());
    assert!(matches!(directory, UnpackError::Read { .. }), "{directory}");
}

#[test]
fn the_error_for_another_package_names_it() {
    let deb = deb_of_bytes(".xz", &[("./boot/vmlinuz-6.1", b"kernel")]);
    let error = UnpackFixture::new().unpack(&deb, LIMIT).unwrap_err();
    assert!(error.to_string().contains("package linux-image-test 6.1.192-2"), "{error}");
}

#[test]
fn the_error_for_another_archive_says_what_it_lacks() {
    let error =
        UnpackFixture::new().unpack(&tar(&[Plain("perf/Makefile", "all:")]), LIMIT).unwrap_err();
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
