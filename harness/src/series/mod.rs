//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod against;
mod error;
mod expect;
mod outcome;
mod patch;
mod quoted;
mod range;
mod read;
mod run;
mod verdict;

pub use against::{Wanted, of_patch, of_series, stated};
pub use error::CheckError;
pub use expect::{Change, ExpectError, Expectations, IN_TREE};
pub use outcome::{
    Apply, Base, Boot, Build, Built, Changed, Checked, FORMAT, Outcome, PatchOutcome, Place, Ran,
    Stated, Tested,
};
pub use patch::Patch;
pub use range::{base, of_range};
pub use read::{Cover, Given, Series, SeriesError};
pub use run::Check;
pub use verdict::Problem;
