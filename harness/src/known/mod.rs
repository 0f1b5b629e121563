//! Known differences: how a kernel is known to deviate from the cases, why, and whether it still
//! does.

mod entry;
mod file;
mod list;
mod standing;

pub use entry::KnownEntry;
pub use file::read;
pub(crate) use file::{KnownFile, written_transcript};
pub use list::{KnownDifferences, KnownError};
pub use standing::{Standing, standings};
