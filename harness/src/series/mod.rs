//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod patch;
mod read;

pub use patch::Patch;
pub use read::{Given, Series, SeriesError};
