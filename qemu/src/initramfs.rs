//! Writes the guest's first file system: an uncompressed cpio archive (newc).
//!
//! Uncompressed, because an emulated CPU inflates slowly and the host has the memory. The same
//! content gives the same bytes, so the hash can name an archive.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// File type bits of a mode, as in `stat(2)`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// A finished archive, cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Initramfs(Arc<[u8]>);

impl Initramfs {
    /// The archive's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Writes another archive and this one behind it, whose files replace those of the same name.
    ///
    /// # Errors
    ///
    /// If the other cannot be read, or nothing can be written.
    pub fn write_behind(&self, mut base: impl Read, mut output: impl Write) -> io::Result<()> {
        let length = io::copy(&mut base, &mut output)?;
        // The kernel skips zeros between archives, and expects the next at such an offset.
        let padding = length.next_multiple_of(4) - length;
        output.write_all(&[0; 4][..padding as usize])?;
        output.write_all(self.as_bytes())
    }
}

/// Wraps any archive that the kernel can read, compressed or not.
impl From<Vec<u8>> for Initramfs {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Initramfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Initramfs({} bytes)", self.0.len())
    }
}

/// All the ways writing an archive can fail.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The path is empty, or has an empty, `.` or `..` component or a NUL byte.
    #[error("put `{path}` in an initramfs: not a plain path")]
    Path {
        /// The path, as the caller gave it.
        path: String,
    },
    /// Two entries have the same name, or a file is where another entry needs a directory.
    #[error("put `{path}` in an initramfs: the name is already taken")]
    Taken {
        /// The path, as the caller gave it.
        path: String,
    },
    /// The file's size exceeds 32 bits, the limit of newc.
    #[error("put `{path}` in an initramfs: the format cannot hold {size} bytes")]
    TooBig {
        /// The path, as the caller gave it.
        path: String,
        /// Its size in bytes.
        size: usize,
    },
    /// The archive writer failed. It writes to memory, so only for lack of that.
    #[error("write an initramfs")]
    Write(#[from] io::Error),
}

#[derive(Debug)]
enum Node {
    Directory,
    File { permissions: u32, bytes: Vec<u8> },
    CharacterDevice { permissions: u32, major: u32, minor: u32 },
}

/// Collects entries; [`Builder::build`] writes them sorted by path, parents first.
#[derive(Debug)]
pub struct Builder {
    nodes: BTreeMap<String, Node>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Starts with `/dev/console`: the kernel opens it for the first process's standard streams
    /// (console_on_rootfs() in init/main.c), before anything can mount devtmpfs.
    pub fn new() -> Self {
        let console = Node::CharacterDevice { permissions: 0o600, major: 5, minor: 1 };
        let nodes = [("dev".into(), Node::Directory), ("dev/console".into(), console)];
        Self { nodes: nodes.into() }
    }

    /// Adds a file with these permissions (`0o755`), owned by root, and its parent directories.
    pub fn file(
        self,
        path: &str,
        permissions: u32,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<Self, ArchiveError> {
        self.add(path, Node::File { permissions: permissions & 0o7777, bytes: bytes.into() })
    }

    /// Adds an empty directory, readable by all.
    pub fn directory(self, path: &str) -> Result<Self, ArchiveError> {
        self.add(path, Node::Directory)
    }

    /// Adds a character device, for a guest that mounts no devtmpfs.
    pub fn character_device(
        self,
        path: &str,
        permissions: u32,
        major: u32,
        minor: u32,
    ) -> Result<Self, ArchiveError> {
        let permissions = permissions & 0o7777;
        self.add(path, Node::CharacterDevice { permissions, major, minor })
    }

    fn add(mut self, given: &str, node: Node) -> Result<Self, ArchiveError> {
        let path = given.strip_prefix('/').unwrap_or(given);
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if !path.split('/').all(plain) {
            return Err(ArchiveError::Path { path: given.into() });
        }
        let taken = || ArchiveError::Taken { path: given.into() };
        for (slash, _) in path.match_indices('/') {
            let parent = self.nodes.entry(path[..slash].into()).or_insert(Node::Directory);
            if !matches!(parent, Node::Directory) {
                return Err(taken());
            }
        }
        match (self.nodes.get(path), &node) {
            (None, _) => {}
            // A directory may be added twice, or may exist as the parent of another entry.
            (Some(Node::Directory), Node::Directory) => {}
            (Some(_), _) => return Err(taken()),
        }
        self.nodes.insert(path.into(), node);
        Ok(self)
    }

    /// Writes the archive.
    pub fn build(&self) -> Result<Initramfs, ArchiveError> {
        let mut archive = Vec::new();
        for (inode, (path, node)) in (1..).zip(&self.nodes) {
            let entry = cpio::NewcBuilder::new(path).ino(inode);
            let (entry, content): (_, &[u8]) = match node {
                Node::Directory => (entry.mode(DIRECTORY | 0o755).nlink(2), &[]),
                Node::File { permissions, bytes } => (entry.mode(REGULAR | permissions), bytes),
                Node::CharacterDevice { permissions, major, minor } => {
                    (entry.mode(CHARACTER | permissions).rdev_major(*major).rdev_minor(*minor), &[])
                }
            };
            let size = u32::try_from(content.len())
                .map_err(|_| ArchiveError::TooBig { path: path.clone(), size: content.len() })?;
            let mut writer = entry.write(&mut archive, size);
            writer.write_all(content)?;
            writer.finish()?;
        }
        Ok(cpio::newc::trailer(archive)?.into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Path, mode, device and content.
    type Entry = (String, u32, (u32, u32), Vec<u8>);

    fn parsed(mut rest: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).expect("an entry");
            let entry = reader.entry();
            if entry.is_trailer() {
                return entries;
            }
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            let device = (entry.rdev_major(), entry.rdev_minor());
            assert_eq!(entry.mtime(), 0, "{name}");
            assert_eq!(entry.ino() as usize, entries.len() + 1, "{name}");
            let mut content = Vec::new();
            reader.read_to_end(&mut content).expect("its content");
            rest = reader.finish().expect("its padding");
            entries.push((name, mode, device, content));
        }
    }

    #[test]
    fn entries_are_read_back_parents_first() {
        let archive = Builder::new()
            .file("/etc/selinux/policy.bin", 0o644, b"odd".as_slice())
            .and_then(|b| b.file("init", 0o755, vec![7; 4097]))
            .and_then(|b| b.character_device("dev/null", 0o666, 1, 3))
            .and_then(|b| b.directory("etc"))
            .and_then(|b| b.build())
            .expect("a good archive");
        let expected = [
            ("dev", 0o40755, (0, 0), vec![]),
            ("dev/console", 0o20600, (5, 1), vec![]),
            ("dev/null", 0o20666, (1, 3), vec![]),
            ("etc", 0o40755, (0, 0), vec![]),
            ("etc/selinux", 0o40755, (0, 0), vec![]),
            ("etc/selinux/policy.bin", 0o100_644, (0, 0), b"odd".to_vec()),
            ("init", 0o100_755, (0, 0), vec![7; 4097]),
        ]
        .map(|(path, mode, device, content)| (path.to_owned(), mode, device, content));
        assert_eq!(parsed(archive.as_bytes()), expected);
    }

    #[test]
    fn the_order_of_adding_does_not_change_a_byte() {
        let a = Builder::new().file("a", 0o644, "1").and_then(|b| b.file("b/c", 0o600, "2"));
        let b = Builder::new().file("b/c", 0o600, "2").and_then(|b| b.file("a", 0o644, "1"));
        let build = |x: Result<Builder, _>| x.and_then(|x| x.build()).expect("an archive");
        assert_eq!(build(a), build(b));
    }

    #[rstest]
    #[case("")]
    #[case("/")]
    #[case("a//b")]
    #[case("a/")]
    #[case("../etc/passwd")]
    #[case("a/./b")]
    #[case("a\0b")]
    fn a_path_that_is_not_plain_is_refused(#[case] path: &str) {
        let refused = Builder::new().file(path, 0o644, "");
        assert!(matches!(refused, Err(ArchiveError::Path { .. })), "{refused:?}");
    }

    #[rstest]
    #[case(&["a", "a"])]
    #[case(&["a", "a/b"])]
    #[case(&["a/b", "a"])]
    #[case(&["dev/console"])]
    #[case(&["dev"])]
    fn a_name_that_is_taken_is_refused(#[case] paths: &[&str]) {
        let refused = paths.iter().try_fold(Builder::new(), |b, path| b.file(path, 0o644, ""));
        assert!(matches!(refused, Err(ArchiveError::Taken { .. })), "{refused:?}");
    }
}
