//! Known differences: what a kernel is known to do otherwise, why, and whether it still does.

mod file;
mod list;
mod standing;

pub(crate) use file::lines;
pub use file::read;
pub(crate) use list::are_like;
pub use list::{KnownDifference, KnownDifferences, KnownError};
pub use standing::{Standing, standings};
