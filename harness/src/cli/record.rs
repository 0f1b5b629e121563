//! Run records that the user names.

use std::io::Read;
use std::path::Path;

use super::Failure;
use crate::record::{self, LoadedRecord, Run};
use crate::text::eprint_line;

/// Reads a record, with a warning if it is cut short.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    warned(path, record::read(path)?)
}

/// [`read`] from an open file.
pub(super) fn read_from(source: impl Read, path: &Path) -> Result<Run, Failure> {
    warned(path, record::read_from(source, path)?)
}

fn warned(path: &Path, reading: LoadedRecord) -> Result<Run, Failure> {
    if let Some(cut) = &reading.cut {
        eprint_line!("warning: {}: {cut}", path.display());
    }
    Ok(reading.run)
}
