//! Checks the entries of an archive.

use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::links::Links;

/// The reason to refuse a link, as a clause without its subject.
pub(super) const LEAVES: &str = "is a link that leaves the archive";

/// The longest path in bytes, and the deepest. Those of Linux have 120 bytes and 12 components.
const LONGEST: usize = 1024;
const DEEPEST: usize = 32;

/// The path of an entry below the top of its archive, or the reason to refuse it.
pub(super) fn check_entry(
    kind: EntryType,
    path: &Path,
    link: &Path,
    links: &mut Links,
) -> Result<PathBuf, &'static str> {
    if path.as_os_str().len() > LONGEST || path.components().count() > DEEPEST {
        return Err("has a name that is too long or too deep");
    }
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
