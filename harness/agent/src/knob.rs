//! Files of pseudo filesystems. One that is read and written repeatedly is kept open.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{ErrorContext, Result};
use crate::here::journal;

/// An open kernel file whose content is one short text.
pub(crate) struct Knob {
    file: File,
    path: String,
}

impl Knob {
    pub(crate) fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .doing(format_args!("open {}", path.display()))?;
        Ok(Self { file, path: path.display().to_string() })
    }

    /// The content, trimmed.
    pub(crate) fn read(&self) -> Result<String> {
        // Short, because the kernel clears as many bytes as the caller has room for
        // (`proc_sys_call_handler()`).
        let mut buffer = [0; 128];
        match self.file.read_at(&mut buffer, 0).doing(format_args!("read {}", self.path))? {
            got if got < buffer.len() => Ok(text(&buffer[..got])),
            _ => read(&self.path),
        }
    }

    /// Writes at offset 0, as `sel_write_enforce()` and strict sysctl writes demand.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        journal::note_write(Path::new(&self.path))?;
        self.file
            .write_all_at(text.as_bytes(), 0)
            .doing(format_args!("write `{text}` to {}", self.path))
    }

    /// True if the file has this value now.
    pub(crate) fn holds(&self, text: &str) -> Result<bool> {
        Ok(same(&self.read()?, text))
    }

    /// Writes and reads back.
    pub(crate) fn set(&self, text: &str) -> Result<()> {
        self.write(text)?;
        let now = self.read()?;
        if same(&now, text) {
            return Ok(());
        }
        Err(crate::error::Error::new(
            format_args!("set {} to `{text}`", self.path),
            format_args!("it reads `{now}` afterwards"),
        ))
    }
}

/// True if two values of a kernel file are equal: tables of numbers come back with tabs.
fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// The content of a kernel file without the white space around it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The content of a kernel file, trimmed.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let doing = format_args!("read {}", path.display()).to_string();
    let mut file = File::open(path).doing(&doing)?;
    let mut bytes = Vec::new();
    // In large pieces: show_header() of tracefs returns nothing to a second read.
    let mut piece = [0; 8192];
    loop {
        match file.read(&mut piece).doing(&doing)? {
            0 => return Ok(text(&bytes)),
            got => bytes.extend(&piece[..got]),
        }
    }
}

/// Writes a kernel file once.
pub(crate) fn write(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    journal::note_write(path)?;
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .doing(format_args!("write `{text}` to {}", path.display()))
}

/// Appends to a kernel file: `kprobe_events` is emptied by an ordinary write.
pub(crate) fn append(path: impl AsRef<Path>, text: &str) -> Result<()> {
    let path = path.as_ref();
    OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .doing(format_args!("write `{text}` to {}", path.display()))
}
