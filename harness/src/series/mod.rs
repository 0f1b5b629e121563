//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod against;
mod expect;
mod outcome;
mod patch;
mod read;
mod verdict;

pub use against::{of_patch, of_series, stated};
pub use expect::{Change, ExpectError, Expectations, IN_TREE};
pub use outcome::{
    Apply, Base, Boot, Build, Built, Changed, Checked, Diagnostic, FORMAT, Outcome, PatchOutcome,
    Place, Ran, Setup, Stated, Tested,
};
pub use patch::Patch;
pub use read::{Cover, Given, Series, SeriesError};
pub use verdict::Problem;
