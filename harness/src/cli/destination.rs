//! A file for a text that is still to be made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Failure;

/// A file for one text, opened before what takes long: that it cannot be written is told at once. What it
/// held stays there until there is a text, and a file that was not there is none without one.
#[derive(Debug)]
pub(super) struct Destination {
    path: PathBuf,
    file: File,
    /// Whether the file is new and has no text yet.
    empty: bool,
}

impl Destination {
    /// Opens the file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, empty) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).truncate(false).open(path), false)
            }
            made => (made, true),
        };
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, empty })
    }

    /// Opens the file that an option names, if it does.
    pub(super) fn optional(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        path.map(Self::open).transpose()
    }

    /// Writes the text, without the colours of a terminal.
    pub(super) fn write(mut self, text: &str) -> Result<(), Failure> {
        self.empty = false;
        let text = anstream::adapter::strip_str(text).to_string();
        // A device or a pipe has no length.
        let is_file = self.file.metadata().is_ok_and(|data| data.is_file());
        let emptied = if is_file { self.file.set_len(0) } else { Ok(()) };
        let written = emptied.and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if self.empty {
            // Nothing is lost with it, and nobody is there to be told.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a text into a file, or to standard output.
pub(super) fn write(destination: Option<Destination>, text: &str) -> Result<(), Failure> {
    match destination {
        Some(destination) => destination.write(text),
        None => super::print(text),
    }
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::host(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_holds_what_it_held_until_there_is_a_text() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report");
        fs::write(&path, "an earlier and longer report\n").unwrap();
        drop(Destination::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an earlier and longer report\n");
        Destination::open(&path).unwrap().write("\u{1b}[1ma report\u{1b}[0m\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a report\n");
    }

    #[test]
    fn a_new_file_is_there_only_with_a_text() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report");
        drop(Destination::open(&path).unwrap());
        assert!(!path.exists());
        Destination::open(&path).unwrap().write("").unwrap();
        assert!(path.exists());
        let below = path.join("report");
        let error = Destination::open(&below).unwrap_err().error.to_string();
        assert!(error.contains("cannot write"), "{error}");
    }

    #[test]
    fn a_link_leads_to_the_file_and_a_device_takes_everything() {
        let directory = TempDir::new().unwrap();
        let (link, path) = (directory.path().join("link"), directory.path().join("report"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Destination::open(&link).unwrap().write("a report\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a report\n");
        Destination::open(Path::new("/dev/null")).unwrap().write("a report\n").unwrap();
    }
}
