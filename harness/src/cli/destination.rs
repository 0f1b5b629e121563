//! A file for a report that does not exist yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::text::Text;

/// A file for one report, opened before anything slow starts, so that a file that cannot be written
/// is an error at once. It keeps its content until the report is written; a new file is removed if
/// no report is.
#[derive(Debug)]
pub(super) struct Destination {
    path: PathBuf,
    file: File,
    /// True if the file is new and has no text yet.
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

    /// Opens the file that an option names, if it was given.
    pub(super) fn optional(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        path.map(Self::open).transpose()
    }

    /// Writes the text, without terminal colours.
    pub(super) fn write(self, text: &Text) -> Result<(), Failure> {
        self.write_exactly(&text.plain())
    }

    /// Writes what is not for a terminal: no character is escaped.
    pub(super) fn write_exactly(mut self, text: &str) -> Result<(), Failure> {
        self.empty = false;
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
            // An empty file that stays behind does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a text to the file, or to standard output without one.
pub(super) fn write(destination: Option<Destination>, text: &Text) -> Result<(), Failure> {
    match destination {
        Some(destination) => destination.write(text),
        None => super::print(text),
    }
}

/// Writes a file whole or not at all: until then its earlier content stays.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Failure> {
    // A link is not replaced.
    let real = path.canonicalize();
    let real = real.as_deref().unwrap_or(path);
    let replace = || {
        // Nor is a device, or a pipe.
        if real.metadata().is_ok_and(|data| !data.is_file()) {
            return write(&mut OpenOptions::new().write(true).open(real)?);
        }
        let folder = real.parent().filter(|it| !it.as_os_str().is_empty());
        // As for any file, the umask decides who reads it.
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        write(file.as_file_mut())?;
        file.persist(real)?;
        Ok(())
    };
    replace().map_err(|error| unwritable(path, &error))
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::host(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use anstyle::Style;
    use tempfile::TempDir;

    use super::*;

    fn report() -> Text {
        let mut text = Text::new();
        text.paint(Style::new().bold(), "a report").end();
        text
    }

    #[test]
    fn a_file_keeps_its_content_until_a_text_is_written() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report");
        fs::write(&path, "an earlier and longer report\n").unwrap();
        drop(Destination::open(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "an earlier and longer report\n");
        Destination::open(&path).unwrap().write(&report()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a report\n");
    }

    #[test]
    fn a_new_file_stays_only_if_a_text_is_written() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("report");
        drop(Destination::open(&path).unwrap());
        assert!(!path.exists());
        Destination::open(&path).unwrap().write(&Text::new()).unwrap();
        assert!(path.exists());
        let below = path.join("report");
        let error = Destination::open(&below).unwrap_err().error.to_string();
        assert!(error.contains("cannot write"), "{error}");
    }

    #[test]
    fn a_link_is_followed_and_a_device_can_be_written() {
        let directory = TempDir::new().unwrap();
        let (link, path) = (directory.path().join("link"), directory.path().join("report"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Destination::open(&link).unwrap().write(&report()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a report\n");
        Destination::open(Path::new("/dev/null")).unwrap().write(&report()).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_pipe_is_written_to() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "earlier").unwrap();
        let fail = |file: &mut File| {
            file.write_all(b"a part")?;
            Err(io::ErrorKind::Other.into())
        };
        replace(&path, fail).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "earlier");
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = pipe.clone();
        let reader = std::thread::spawn(move || fs::read_to_string(reader));
        replace(&pipe, |file| file.write_all(b"piped")).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), "piped");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
