//! Run records that the user names.

use std::path::Path;

use super::Failure;
use crate::record::{self, Run};
use crate::text::eprint_line;

/// Reads a record, with a warning if it is cut short.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    let reading = record::read(path)?;
    if let Some(cut) = &reading.cut {
        eprint_line!("warning: {}: {cut}", path.display());
    }
    Ok(reading.run)
}
