//! Known differences: how a kernel is known to deviate from the cases, why, and whether it still
//! does.

mod entry;
mod file;
mod list;
mod standing;

pub use entry::KnownEntry;
pub(crate) use entry::match_transcript;
pub use file::read;
pub(crate) use file::transcript_lines;
pub use list::{KnownDifferences, KnownError};
pub use standing::{Standing, standings};
