//! Reads files that others wrote: with a limit, and without waiting for a pipe that nobody writes.

mod limits;
mod line;
pub(crate) mod meter;
mod place;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

pub(crate) use limits::*;
pub(crate) use line::{Line, read_line, skip_line};
pub(crate) use place::{Files, LocalFiles};

/// Reads a regular file.
///
/// # Errors
///
/// The system's error, or one that names the limit or the kind of file.
pub(crate) fn read(path: &Path, limit: &'static Limit) -> io::Result<Vec<u8>> {
    read_all(open(path)?, limit)
}

/// [`read`], for a file that must be text in UTF-8.
pub(crate) fn read_text(path: &Path, limit: &'static Limit) -> io::Result<String> {
    text(read(path, limit)?)
}

/// Reads a file that the user named, which may be a pipe (`<(…)`, `/dev/stdin`).
pub(crate) fn read_named(path: &Path, limit: &'static Limit) -> io::Result<Vec<u8>> {
    read_all(open_named(path)?, limit)
}

/// [`read_named`], for a file that must be text in UTF-8.
pub(crate) fn read_named_text(path: &Path, limit: &'static Limit) -> io::Result<String> {
    text(read_named(path, limit)?)
}

/// Reads to the end.
pub(crate) fn read_all(source: impl Read, limit: &'static Limit) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Limited::new(source, limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// [`read_all`], for a source of known size in bytes.
pub(crate) fn read_sized(
    size: u64,
    source: impl Read,
    limit: &'static Limit,
) -> io::Result<Vec<u8>> {
    if size > limit.bytes {
        return Err(limit.exceeded());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    Limited::new(source, limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file, and refuses all others at once, with [`io::ErrorKind::InvalidInput`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // To open a device can have side effects.
    require_regular(&fs::metadata(path)?)?;
    // If a pipe takes its place now, a blocking open would wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a file that the user named, which may be a pipe.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    File::open(path)
}

fn require_regular(data: &fs::Metadata) -> io::Result<()> {
    let kind = data.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

/// Text in UTF-8; the error names the first other line.
pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        let reason = format!("line {line} is not text in UTF-8");
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// A reader that fails past a limit.
#[derive(Debug)]
pub(crate) struct Limited<R> {
    inner: R,
    limit: &'static Limit,
    left: u64,
}

impl<R> Limited<R> {
    pub(crate) fn new(inner: R, limit: &'static Limit) -> Self {
        Self { inner, limit, left: limit.bytes }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // A source of exactly the limit's length is accepted.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(self.limit.exceeded()),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;
    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    static SMALL: Limit = Limit { of: "a test", bytes: 4 };

    #[rstest]
    #[case(b"", None)]
    #[case(b"abcd", None)]
    #[case(b"abcde", Some("it is larger than 4 bytes, the limit of a test"))]
    fn a_file_is_read_up_to_the_limit(#[case] content: &[u8], #[case] refusal: Option<&str>) {
        let place = TempDir::new().unwrap();
        let path = place.path().join("file");
        fs::write(&path, content).unwrap();
        for read in [read(&path, &SMALL), read_named(&path, &SMALL)] {
            match refusal {
                None => assert_eq!(read.unwrap(), content),
                Some(words) => {
                    let error = read.unwrap_err().to_string();
                    assert!(error.contains(words), "{error}");
                }
            }
        }
    }

    #[test]
    fn only_a_named_file_may_be_endless_and_it_is_not_read_past_the_limit() {
        let zero = Path::new("/dev/zero");
        let error = read(zero, &SMALL).unwrap_err().to_string();
        assert_eq!(error, "it is a device, not a regular file");
        let error = read_named(zero, &SMALL).unwrap_err().to_string();
        assert!(error.contains("larger than 4 bytes"), "{error}");
    }

    #[test]
    fn a_pipe_without_a_writer_is_refused_at_once() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("pipe");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let error = read(&path, &SMALL).unwrap_err().to_string();
        assert_eq!(error, "it is a pipe, not a regular file");
        let error = open(place.path()).unwrap_err().to_string();
        assert_eq!(error, "it is a directory, not a regular file");
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_line() {
        let error = text(b"a\nb\xff".to_vec()).unwrap_err().to_string();
        assert_eq!(error, "line 2 is not text in UTF-8");
        assert_eq!(text(b"a\n".to_vec()).unwrap(), "a\n");
    }
}
