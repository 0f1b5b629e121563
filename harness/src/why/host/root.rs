//! The root directory below which files are read.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::foreign;

/// The root directory of the machine to look at.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// This machine's.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::at("/")
    }

    /// A directory with a copy of what is read, or made up.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The place of a file: an absolute path of the machine.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The text of a file, without blanks at the end.
    ///
    /// # Errors
    ///
    /// The path and the system's words.
    pub(super) fn text(&self, path: &str) -> Result<String, String> {
        foreign::read_text(&self.path(path), &foreign::SYSTEM_FILE)
            .map(|text| text.trim_end_matches(['\n', '\0', ' ']).to_owned())
            .map_err(|error| format!("{path}: {error}"))
    }

    /// The value of a file that has one.
    ///
    /// # Errors
    ///
    /// The path and the reason.
    pub(super) fn value<T: FromStr>(&self, path: &str) -> Result<T, String> {
        let text = self.text(path)?;
        text.parse().map_err(|_| format!("{path}: `{text}` is not what is expected there"))
    }

    /// True if there is a file or a directory.
    pub(super) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The target of a symbolic link.
    pub(super) fn link(&self, path: &str) -> Result<String, String> {
        std::fs::read_link(self.path(path))
            .map(|target| target.display().to_string())
            .map_err(|error| format!("{path}: {error}"))
    }

    /// The path on the machine of a place below this directory.
    pub(super) fn shown(&self, place: &Path) -> String {
        let rest = place.strip_prefix(&self.0).unwrap_or(place);
        Path::new("/").join(rest).display().to_string()
    }
}

#[cfg(test)]
pub(super) mod fixture {
    use std::path::Path;

    use tempfile::TempDir;

    use super::Root;

    /// A tree with these files.
    pub(in crate::why::host) fn tree(files: &[(&str, &str)]) -> (TempDir, Root) {
        let place = TempDir::new().unwrap();
        for (path, text) in files {
            let path = place.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = Root::at(place.path());
        (place, root)
    }
}
