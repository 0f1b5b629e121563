//! One known difference, with the cells and kernels that have it.

use std::path::PathBuf;

use crate::case::{Circumstances, Condition, KnownDifference};
use crate::plan::CellNames;
use crate::transcript::Transcript;

/// A known difference, and where it holds.
#[derive(Clone, Debug)]
pub struct KnownEntry {
    /// The difference.
    pub difference: KnownDifference,
    /// The file that lists it, and the line.
    pub place: (PathBuf, usize),
    /// The cells.
    pub cells: CellNames,
    /// The kernels.
    pub kernels: Condition,
    /// Name of the policy to which it is limited.
    pub policy: Option<String>,
    /// The transcript that is seen instead of the expected one. `None` allows any.
    pub instead: Option<Transcript>,
}

impl KnownEntry {
    /// True if the difference affects this cell on this kernel under this policy.
    #[must_use]
    pub fn affects(&self, cell: &str, kernel: &Circumstances<'_>, policy: &str) -> bool {
        self.policy.as_deref().is_none_or(|name| name == policy)
            && self.kernels.holds(kernel)
            && self.cells.contains(cell)
    }

    /// True if the difference accounts for this transcript of a cell that it affects.
    #[must_use]
    pub fn explains(&self, observed: &Transcript) -> bool {
        self.instead.as_ref().is_none_or(|instead| instead.matches(observed))
    }
}
