//! Helpers of the fuzz targets.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory for the input of entry points that read files.
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// libFuzzer ends without removing it, so `cargo xtask fuzz` gives each target a `TMPDIR`.
    ///
    /// # Panics
    ///
    /// If no directory can be made.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    /// Writes a file and returns its path.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).expect("a file in our directory");
        path
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes one byte off the input; returns 0 if the input is empty.
pub fn byte(data: &mut &[u8]) -> usize {
    match data.split_first() {
        Some((first, rest)) => {
            *data = rest;
            usize::from(*first)
        }
        None => 0,
    }
}

/// Takes a string with its length, at most 255 bytes, off the input.
pub fn bytes<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let length = byte(data).min(data.len());
    let (taken, rest) = data.split_at(length);
    *data = rest;
    taken
}

/// Damages a file: takes up to four triples of an offset and a value off the input.
pub fn damage(file: &mut [u8], data: &mut &[u8]) {
    for _ in 0..byte(data) % 5 {
        let (high, low, value) = (byte(data), byte(data), byte(data));
        // Most of the structure is in the first kilobytes.
        if let Some(at) = (high << 8 | low).checked_rem(file.len()) {
            file[at] = value as u8;
        }
    }
}
