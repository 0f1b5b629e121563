//! Reads the version of a kernel tree from its Makefile.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::kernel::KernelVersion;

/// Bytes of the Makefile that are read; the version is in its first lines.
const LONGEST: u64 = 1 << 20;

/// A directory that is not a kernel tree.
#[derive(Debug, thiserror::Error)]
pub enum NotATree {
    /// A file that every kernel tree has is missing.
    #[error("find a kernel tree in {}: it has no {file}", .dir.display())]
    NoFile {
        /// The directory.
        dir: PathBuf,
        /// Name of the missing file.
        file: &'static str,
    },
    /// A file that every kernel tree has cannot be read.
    #[error("read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The Makefile does not define the variable.
    #[error("find a kernel tree: its Makefile has no {0}")]
    NoVariable(&'static str),
    /// The value of the variable is not a number.
    #[error("find a kernel tree: {name} in its Makefile is not a number")]
    NotANumber {
        /// Name of the variable.
        name: &'static str,
    },
}

/// The version of the kernel tree with this top directory.
///
/// # Errors
///
/// The directory is not the top of a kernel tree.
pub fn version_of_tree(dir: &Path) -> Result<KernelVersion, NotATree> {
    let find = |file: &'static str| {
        let path = dir.join(file);
        let is_file = path.is_file();
        is_file.then_some(path).ok_or_else(|| NotATree::NoFile { dir: dir.to_path_buf(), file })
    };
    let path = find("Makefile")?;
    let mut text = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
        .map_err(|source| NotATree::Read { path, source })?;
    let version = version_of_makefile(&String::from_utf8_lossy(&text))?;
    find("Kconfig")?;
    Ok(version)
}

/// The version in the text of a kernel's top-level Makefile.
///
/// # Errors
///
/// The Makefile is not that of a kernel.
pub fn version_of_makefile(text: &str) -> Result<KernelVersion, NotATree> {
    let value = |name: &'static str| {
        text.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
            Some(rest.split('#').next().unwrap_or_default().trim())
        })
    };
    let number = |name| {
        let text = value(name).ok_or(NotATree::NoVariable(name))?;
        text.parse::<u32>().map_err(|_| NotATree::NotANumber { name })
    };
    let (major, minor) = (number("VERSION")?, number("PATCHLEVEL")?);
    let patch = number("SUBLEVEL")?;
    // EXTRAVERSION may have other text too.
    let candidate = value("EXTRAVERSION").and_then(|extra| {
        let rest = extra.strip_prefix("-rc")?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    Ok(KernelVersion { major, minor, patch, candidate })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    const HEAD: &str = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 3\n";

    #[rstest]
    #[case("SUBLEVEL = 4\nEXTRAVERSION =\nNAME = Baby Opossum Posse\n", "7.3.4")]
    #[case("SUBLEVEL = 0\nEXTRAVERSION = -rc7\n", "7.3-rc7")]
    #[case("SUBLEVEL = 0\nEXTRAVERSION = -rc12-next\n", "7.3-rc12")]
    #[case("SUBLEVEL = 4\nEXTRAVERSION = -mine\n", "7.3.4")]
    #[case("SUBLEVEL=4 # later lines do not count\nSUBLEVEL = 5\n", "7.3.4")]
    fn the_version_comes_from_the_first_assignments(#[case] rest: &str, #[case] version: &str) {
        let text = format!("{HEAD}{rest}\nall: vmlinux\n");
        assert_eq!(version_of_makefile(&text).unwrap().to_string(), version);
    }

    #[rstest]
    #[case("all:\n\techo VERSION = 6\n", "its Makefile has no VERSION")]
    #[case("VERSION = 6\n", "its Makefile has no PATCHLEVEL")]
    #[case("VERSION = 6\nPATCHLEVEL = 1\n", "its Makefile has no SUBLEVEL")]
    #[case("VERSION = 1.2.3\nPATCHLEVEL = 1\n", "VERSION in its Makefile is not a number")]
    #[case("VERSION = $(shell date)\nPATCHLEVEL = 1\n", "VERSION in its Makefile is not a number")]
    fn the_makefile_of_something_else_is_refused(#[case] text: &str, #[case] said: &str) {
        let error = version_of_makefile(text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn a_tree_has_a_makefile_and_a_kconfig() {
        let dir = TempDir::new().unwrap();
        let lacks = |file: &str| {
            let error = version_of_tree(dir.path()).unwrap_err();
            assert!(error.to_string().ends_with(&format!("it has no {file}")), "{error}");
        };
        lacks("Makefile");
        fs::write(dir.path().join("Makefile"), format!("{HEAD}SUBLEVEL = 4\n")).unwrap();
        lacks("Kconfig");
        fs::write(dir.path().join("Kconfig"), "").unwrap();
        assert_eq!(version_of_tree(dir.path()).unwrap(), KernelVersion::new(7, 3, 4));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(
            text in "(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION|[ =\n#0-9a-z-]|\\PC){0,60}",
        ) {
            let _ = version_of_makefile(&text);
        }
    }
}
