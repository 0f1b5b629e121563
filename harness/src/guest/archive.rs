//! Turns the root that mmdebstrap makes, a tar, into an archive that the kernel unpacks, a cpio.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use tar::EntryType;

use super::labels;
use crate::foreign;

/// File type bits of a mode, as in `stat(2)`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// Directories on which the kernel's file systems are mounted, so that their content is hidden.
const MOUNTED: [&str; 4] = ["dev/", "proc/", "run/", "sys/"];

/// Directory of the policy.
const POLICY: &str = "etc/selinux/default/policy/policy.";
/// The list of packages.
const PACKAGES: &str = "perfsec/packages";
/// Programs that make a guest system.
const REQUIRED: [&str; 4] =
    ["usr/lib/systemd/systemd", "usr/sbin/auditd", "usr/bin/perf", "usr/bin/login"];
/// A root with fewer labels is not whole; that of the smallest system has ten times as many.
const LEAST_LABELS: usize = 1000;

/// The files of a root that perfsec reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The binary policy.
    pub(super) policy: Vec<u8>,
    /// Lines of a package and its version, separated by a tab.
    pub(super) packages: String,
}

/// An archive that was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// The root lacks this file.
    #[error("the root has no {0}")]
    Missing(String),
    /// The tar is damaged or ends early.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The cpio cannot be written.
    #[error(transparent)]
    Write(io::Error),
}

/// Writes the files of a tar to a cpio archive, with their labels in a file of their own.
///
/// # Errors
///
/// If the tar ends early, or is of no guest system.
pub(super) fn convert<W: Read + Write + Seek>(
    tar: impl Read,
    cpio: &mut W,
) -> Result<Contents, ArchiveError> {
    let mut contents = Contents::default();
    let mut places: HashMap<String, (u64, u64)> = HashMap::new();
    let mut writer = Writer { cpio, inode: 0 };
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let Some(path) = plain(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
        if MOUNTED.iter().any(|at| path.starts_with(at)) {
            continue;
        }
        let kind = entry.header().entry_type();
        let link = || {
            let name = entry.link_name_bytes().unwrap_or_default();
            String::from_utf8_lossy(&name).into_owned()
        };
        let attributes = Attributes::of(entry.header())?;
        match kind {
            EntryType::Directory => writer.put(&path, DIRECTORY, &attributes, &[]).map(drop)?,
            EntryType::Symlink => {
                let target = link();
                writer.put(&path, SYMLINK, &attributes, target.as_bytes()).map(drop)?;
            }
            EntryType::Link => {
                // Copied: the kernel links only files that were announced as such.
                let target = plain(&link()).unwrap_or_default();
                let place = places.get(&target).copied();
                let place = place.ok_or(ArchiveError::Missing(target))?;
                let bytes = writer.read(place).map_err(ArchiveError::Write)?;
                places.insert(path.clone(), writer.put(&path, REGULAR, &attributes, &bytes)?);
            }
            EntryType::Regular | EntryType::Continuous => {
                let mut bytes = foreign::read_all(&mut entry, &foreign::GUEST_FILE)?;
                if path == labels::FILE {
                    bytes = labelled(&bytes)?;
                } else if path == PACKAGES {
                    contents.packages = String::from_utf8_lossy(&bytes).into_owned();
                } else if path.starts_with(POLICY) {
                    contents.policy.clone_from(&bytes);
                }
                places.insert(path.clone(), writer.put(&path, REGULAR, &attributes, &bytes)?);
            }
            // Sockets and devices are made anew.
            _ => {}
        }
    }
    // Until its end, or the writer of the tar fails.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    let named = [(labels::FILE, places.contains_key(labels::FILE))];
    let read = [(PACKAGES, !contents.packages.is_empty()), (POLICY, !contents.policy.is_empty())];
    let required = REQUIRED.map(|path| (path, places.contains_key(path)));
    if let Some((path, _)) = required.iter().chain(&read).chain(&named).find(|(_, there)| !there) {
        return Err(ArchiveError::Missing((*path).to_owned()));
    }
    writer.finish().map_err(ArchiveError::Write)?;
    Ok(contents)
}

/// The labels as the agent reads them.
fn labelled(text: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let text = String::from_utf8_lossy(text);
    let labels: Vec<_> = labels::parse(&text).collect();
    match labels.len() {
        0..LEAST_LABELS => Err(ArchiveError::Missing("label of every file".to_owned())),
        _ => Ok(perfsec_wire::labels::write(labels)),
    }
}

/// A path without the leading `./` or `/` and the final `/`; `None` for the root itself.
fn plain(path: &str) -> Option<String> {
    let path = path.trim_start_matches("./").trim_matches('/');
    (!path.is_empty() && path != ".").then(|| path.to_owned())
}

/// The attributes of a file.
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: u32,
}

impl Attributes {
    fn of(header: &tar::Header) -> io::Result<Self> {
        let id = |id: u64| u32::try_from(id).map_err(io::Error::other);
        Ok(Self {
            mode: header.mode()? & 0o7777,
            uid: id(header.uid()?)?,
            gid: id(header.gid()?)?,
            mtime: u32::try_from(header.mtime()?).unwrap_or(u32::MAX),
        })
    }
}

/// A cpio archive under construction.
struct Writer<'a, W> {
    cpio: &'a mut W,
    inode: u32,
}

impl<W: Read + Write + Seek> Writer<'_, W> {
    /// Writes an entry; returns offset and length of its content.
    fn put(
        &mut self,
        path: &str,
        kind: u32,
        attributes: &Attributes,
        content: &[u8],
    ) -> Result<(u64, u64), ArchiveError> {
        self.try_put(path, kind, attributes, content).map_err(ArchiveError::Write)
    }

    fn try_put(
        &mut self,
        path: &str,
        kind: u32,
        attributes: &Attributes,
        content: &[u8],
    ) -> io::Result<(u64, u64)> {
        self.inode += 1;
        let entry = cpio::NewcBuilder::new(path)
            .ino(self.inode)
            .mode(kind | attributes.mode)
            .uid(attributes.uid)
            .gid(attributes.gid)
            .mtime(attributes.mtime)
            .nlink(if kind == DIRECTORY { 2 } else { 1 });
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut writer = entry.write(&mut *self.cpio, size);
        writer.write_all(content)?;
        writer.finish()?;
        let padded = u64::from(size).next_multiple_of(4);
        Ok((self.cpio.stream_position()? - padded, u64::from(size)))
    }

    /// The content of an entry.
    fn read(&mut self, (offset, length): (u64, u64)) -> io::Result<Vec<u8>> {
        self.cpio.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        Read::by_ref(self.cpio).take(length).read_to_end(&mut bytes)?;
        self.cpio.seek(SeekFrom::End(0))?;
        Ok(bytes)
    }

    fn finish(self) -> io::Result<()> {
        cpio::newc::trailer(&mut *self.cpio).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rstest::rstest;

    use super::*;

    /// A root as mmdebstrap writes it, without `left_out`.
    fn root(left_out: &str, labels: usize) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut put = |path: &str, kind, link: &str, bytes: &[u8]| {
            if path.contains(left_out) && !left_out.is_empty() {
                return;
            }
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o4755);
            header.set_uid(7);
            header.set_gid(8);
            header.set_mtime(9);
            if link.is_empty() {
                tar.append_data(&mut header, path, bytes).unwrap();
            } else {
                tar.append_link(&mut header, path, link).unwrap();
            }
        };
        put("./usr/", EntryType::Directory, "", b"");
        for path in REQUIRED {
            put(&format!("./{path}"), EntryType::Regular, "", path.as_bytes());
        }
        put("./usr/bin/perf-link", EntryType::Link, "./usr/bin/perf", b"");
        put("./bin", EntryType::Symlink, "usr/bin", b"");
        put("./dev/null", EntryType::Regular, "", b"hidden");
        put("./etc/selinux/default/policy/policy.33", EntryType::Regular, "", b"policy");
        put("./perfsec/packages", EntryType::Regular, "", b"perf\t1\n");
        let line = |it| format!("Would relabel /{it} from <no context> to u:r:t:s0\n");
        let text: String = (0..labels).map(line).collect();
        put("./perfsec/labels", EntryType::Regular, "", text.as_bytes());
        tar.into_inner().unwrap()
    }

    /// Name, mode, owners, time and content of each entry.
    fn entries(mut rest: &[u8]) -> Vec<(String, u32, [u32; 3], Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return found;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let others = [reader.entry().uid(), reader.entry().gid(), reader.entry().mtime()];
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            rest = reader.finish().unwrap();
            found.push((name, mode, others, content));
        }
    }

    #[test]
    fn the_files_of_a_tar_are_in_the_cpio_with_their_attributes() {
        let mut cpio = Cursor::new(Vec::new());
        let contents = convert(root("", 2000).as_slice(), &mut cpio).unwrap();
        assert_eq!(
            (contents.policy.as_slice(), &*contents.packages),
            (&b"policy"[..], "perf\t1\n")
        );
        let cpio = cpio.into_inner();
        let entries = entries(&cpio);
        let find = |path: &str| entries.iter().find(|(name, ..)| name == path);
        let (_, mode, others, content) = find("usr/bin/perf-link").unwrap();
        assert_eq!(
            (*mode, *others, content.as_slice()),
            (0o104_755, [7, 8, 9], &b"usr/bin/perf"[..])
        );
        let (_, mode, _, content) = find("bin").unwrap();
        assert_eq!((*mode, content.as_slice()), (0o124_755, &b"usr/bin"[..]));
        assert_eq!(find("usr").unwrap().1, 0o044_755);
        assert_eq!(find("dev/null"), None);
        let (.., labels) = find("perfsec/labels").unwrap();
        assert_eq!(perfsec_wire::labels::read(labels).next(), Some(("u:r:t:s0", "/0")));
        assert_eq!(perfsec_wire::labels::read(labels).count(), 2000);
    }

    #[rstest]
    #[case("usr/sbin/auditd", 2000, "usr/sbin/auditd")]
    #[case("policy.33", 2000, "etc/selinux/default/policy/policy.")]
    #[case("perfsec/packages", 2000, "perfsec/packages")]
    #[case("perfsec/labels", 2000, "perfsec/labels")]
    #[case("", 10, "label of every file")]
    fn a_root_that_lacks_a_part_is_refused(
        #[case] left_out: &str,
        #[case] labels: usize,
        #[case] missing: &str,
    ) {
        let error = convert(root(left_out, labels).as_slice(), &mut Cursor::new(Vec::new()));
        assert!(matches!(&error, Err(ArchiveError::Missing(it)) if it == missing), "{error:?}");
    }

    #[test]
    fn a_tar_that_ends_early_is_refused() {
        let tar = root("", 2000);
        let error = convert(&tar[..tar.len() / 2], &mut Cursor::new(Vec::new()));
        assert!(error.is_err(), "{error:?}");
    }
}
