//! The cases of a run and the known differences that count in it.

use std::path::PathBuf;
use std::sync::Arc;

use super::EngineError;
use crate::case::Library;
use crate::known::KnownDifferences;
use crate::plan::{Filter, PlannedCell};
use crate::record::Selection;

/// The cases of a run and the known differences that count in it.
#[derive(Debug)]
pub struct Suite {
    /// The cases.
    pub library: Library,
    /// The directory of the cases, unless they are those that perfsec brings.
    pub directory: Option<PathBuf>,
    /// Known differences; those that the cases bring are in addition to them.
    pub known: Arc<KnownDifferences>,
}

impl Suite {
    /// The cells that a filter selects, with their controls.
    ///
    /// # Errors
    ///
    /// Returns an error if a name in the filter is not a glob, or if no cell is selected.
    pub fn select(&self, filter: &Filter) -> Result<Vec<PlannedCell>, EngineError> {
        let cells = filter.select(&self.library)?;
        if cells.is_empty() { Err(EngineError::NoCell) } else { Ok(cells) }
    }

    /// What a run with this filter was asked for, for its record.
    #[must_use]
    pub fn asked(&self, filter: Filter) -> Selection {
        Selection {
            cases_sha256: self.library.sha256(),
            cases_directory: self.directory.clone(),
            filter,
            completes: None,
        }
    }
}
