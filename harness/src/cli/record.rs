//! Run records as commands are given them.

use std::path::Path;

use super::Failure;
use crate::record::{self, Run};

/// Reads a record; of one that ends too early the user is told how far it goes.
pub(super) fn read(path: &Path) -> Result<Run, Failure> {
    let reading = record::read(path)?;
    if let Some(cut) = &reading.cut {
        anstream::eprintln!("warning: {}: {cut}", path.display());
    }
    Ok(reading.run)
}
