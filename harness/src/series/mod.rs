//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod against;
mod expect;
mod kept;
mod outcome;
mod patch;
mod quoted;
mod read;
mod run;
mod verdict;

pub use against::{Wanted, of_patch, of_series, stated};
pub use expect::{Change, ExpectError, Expectations, IN_TREE};
pub use kept::Terms;
pub use outcome::{
    Apply, Base, Boot, Build, Built, Changed, Checked, FORMAT, Outcome, PatchOutcome, Place, Ran,
    Stated, Tested,
};
pub use patch::Patch;
pub use read::{Cover, Given, Series, SeriesError};
pub use run::{Check, Lab, Recorded};
pub use verdict::Problem;
