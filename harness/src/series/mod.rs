//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod expect;
mod patch;
mod read;

pub use expect::{Change, ExpectError, Expectations, IN_TREE};
pub use patch::Patch;
pub use read::{Cover, Given, Series, SeriesError};
