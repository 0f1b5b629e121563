//! Writes run records.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Event, RecordError};

/// Writes events as they arrive.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    /// Begins a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let error = |source| RecordError::Write { path: path.to_owned(), source };
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(error)?;
        }
        let file = File::create(path).map_err(error)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Appends an event and flushes it, so that it survives if perfsec is killed right after.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<(), RecordError> {
        let result = serde_json::to_writer(&mut self.file, event)
            .map_err(io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.flush());
        result.map_err(|source| RecordError::Write { path: self.path.clone(), source })
    }
}
