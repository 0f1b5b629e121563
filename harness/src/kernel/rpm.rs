//! Reads RPM packages.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;

use rpm::{FileType, IndexTag, PackageMetadata, PackageReader};

use super::hash;
use crate::foreign;
use crate::interrupt::Interrupt;

/// The first bytes of a package.
const MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// Bytes before the first header (`struct rpmlead_s`).
const LEAD: usize = 96;
/// The first bytes of a header: its magic number and a reserved word.
const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
/// Most entries of a header, and most bytes of its data (`HEADER_TAGS_MAX` and `HEADER_DATA_MAX` of
/// rpm's lib/header_internal.h).
const MOST_ENTRIES: u32 = 0xffff;
const MOST_DATA: u32 = 0x0fff_ffff;
/// Most files of a package. A kernel's modules are 5,000.
const MOST_FILES: usize = 100_000;

/// A package that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RpmError {
    /// The file cannot be read, or is larger than its limit.
    #[error("unpack the RPM package")]
    Read(#[from] io::Error),
    /// The package is damaged or truncated.
    #[error("unpack the RPM package")]
    Malformed(#[from] rpm::Error),
    /// A header has a size or an offset that no package has.
    #[error("unpack the RPM package: its header is damaged")]
    Header,
    /// The payload does not have the SHA-256 that the header has.
    #[error("unpack the RPM package: it is damaged or cut off; its header has another SHA-256")]
    Payload,
    /// The package has too many files.
    #[error("unpack the RPM package: it has {0} files, and perfsec reads at most {MOST_FILES}")]
    TooManyFiles(usize),
    /// The package is intact but has no kernel.
    #[error(
        "find a kernel in package {0}: it has no lib/modules/*/vmlinuz; packages with a kernel \
         are called kernel-core or kernel-default"
    )]
    NoImage(String),
}

/// The name of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RpmName {
    pub(crate) package: String,
    /// Version and release.
    pub(crate) version: String,
}

/// True if the file is an RPM package.
pub(crate) fn is_rpm(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    foreign::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

/// Calls `each` with the path, the size in bytes and the content of every regular file, until it
/// breaks. Returns the package's name.
pub(crate) fn each_file<E: From<RpmError>>(
    path: &Path,
    interrupt: &Interrupt,
    mut each: impl FnMut(&Path, u64, &mut dyn Read) -> Result<ControlFlow<()>, E>,
) -> Result<RpmName, E> {
    let mut file = foreign::open(path).map_err(RpmError::from)?;
    check_headers(&mut file)?;
    file.rewind().map_err(RpmError::from)?;
    let input = BufReader::with_capacity(1 << 16, interrupt.reader(file));
    let mut reader = PackageReader::parse(input).map_err(RpmError::from)?;
    let name = name(&reader).map_err(RpmError::from)?;
    let files = reader.metadata.get_file_entries().map_err(RpmError::from)?;
    if files.len() > MOST_FILES {
        return Err(RpmError::TooManyFiles(files.len()).into());
    }
    check_payload(path, &reader.metadata, interrupt)?;
    // What is skipped is unpacked too.
    let total = files.iter().map(|file| file.size() as u64).fold(0, u64::saturating_add);
    if total > foreign::PACKAGE.bytes {
        return Err(RpmError::from(foreign::PACKAGE.exceeded()).into());
    }
    drop(files);
    while let Some(mut entry) = reader.next_file().map_err(RpmError::from)? {
        let (path, size) = (entry.metadata.path(), entry.metadata.size() as u64);
        let is_file = entry.metadata.file_type() == FileType::Regular && entry.has_payload();
        if is_file && each(&path, size, &mut entry)?.is_break() {
            break;
        }
        entry.finish().map_err(RpmError::from)?;
    }
    Ok(name)
}

/// Compares the payload with its digest. Packages from before rpm 4.14 have none.
fn check_payload(
    path: &Path,
    metadata: &PackageMetadata,
    interrupt: &Interrupt,
) -> Result<(), RpmError> {
    let header = &metadata.header;
    let digests = header.get_entry_data_as_string_array(IndexTag::RPMTAG_PAYLOADSHA256);
    let Some(digest) = digests.unwrap_or_default().first().map(|it| (*it).to_owned()) else {
        return Ok(());
    };
    let mut file = foreign::open(path)?;
    file.seek(SeekFrom::Start(metadata.get_package_segment_offsets().payload))?;
    let found = hash::sha256_rest(&mut file, interrupt)?;
    if found == digest { Ok(()) } else { Err(RpmError::Payload) }
}

fn name(reader: &PackageReader) -> Result<RpmName, rpm::Error> {
    let metadata = &reader.metadata;
    let version = format!("{}-{}", metadata.get_version()?, metadata.get_release()?);
    Ok(RpmName { package: metadata.get_name()?.to_owned(), version })
}

/// Checks the sizes and offsets in both headers, which the `rpm` crate uses as they are.
fn check_headers(file: &mut File) -> Result<(), RpmError> {
    let mut reader = BufReader::new(file);
    io::copy(&mut reader.by_ref().take(LEAD as u64), &mut io::sink())?;
    let signature = check_header(&mut reader)?;
    // The main header begins at a multiple of eight bytes.
    let padding = u64::from(signature.next_multiple_of(8) - signature);
    io::copy(&mut reader.by_ref().take(padding), &mut io::sink())?;
    check_header(&mut reader).map(drop)
}

/// Checks a header, and returns the length of its data.
fn check_header(reader: &mut impl Read) -> Result<u32, RpmError> {
    let mut start = [0; 16];
    reader.read_exact(&mut start)?;
    let [entries, data] = [8, 12].map(|at| be_word(&start[at..]));
    if !start.starts_with(&HEADER_MAGIC) || entries > MOST_ENTRIES || data > MOST_DATA {
        return Err(RpmError::Header);
    }
    let mut entry = [0; 16];
    for _ in 0..entries {
        reader.read_exact(&mut entry)?;
        let [offset, items] = [8, 12].map(|at| be_word(&entry[at..]));
        if offset > data || items > data {
            return Err(RpmError::Header);
        }
    }
    match io::copy(&mut reader.take(u64::from(data)), &mut io::sink())? {
        read if read == u64::from(data) => Ok(data),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

fn be_word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::kernel::fixture::rpm as package;

    fn list(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, RpmError> {
        let place = TempDir::new().unwrap();
        let path = place.path().join("package.rpm");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        each_file(&path, &Interrupt::default(), |path, size, content| -> Result<_, RpmError> {
            let content = foreign::read_sized(size, content, &foreign::POLICY)?;
            found.push((path.display().to_string(), content));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    #[test]
    fn files_are_listed_with_their_content() {
        let listed = list(&package(&[("/a/b", b"one"), ("/c", b"")])).unwrap();
        assert_eq!(listed[0], ("/a/b".to_owned(), b"one".to_vec()));
        assert_eq!(listed.len(), 2);
    }

    #[test]
    fn a_package_that_lacks_its_last_byte_is_cut_off() {
        let whole = package(&[("/a", b"one")]);
        let error = list(&whole[..whole.len() - 1]).unwrap_err();
        assert!(matches!(error, RpmError::Payload), "{error}");
    }

    /// Built once: the crate compresses thoroughly.
    static KERNEL: LazyLock<Vec<u8>> =
        LazyLock::new(|| package(&[("/lib/modules/6.1/vmlinuz", b"kernel")]));

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_damaged_package_never_panics(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<proptest::sample::Index>(),
        ) {
            let mut bytes = KERNEL.clone();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = list(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(list(&bytes).is_err());
        }
    }
}
