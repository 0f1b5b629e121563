//! Explains which check refused, where in the kernel, and what would allow it.
//!
//! The knowledge is data (`cases/permissions.toml`, `cases/points.toml` and
//! `cases/functions.toml`). It explains logs and cells; [`crate::why`] answers for commands and words.
//! Advice about a cell is proved: evaluated again.

mod cell;
mod edit;
mod knowledge;
mod least;
mod location;
mod log;
mod missing;
mod text;

pub use cell::cell;
pub use knowledge::{Knowledge, KnowledgeError, Permission};
pub(crate) use location::place;
pub use log::{LogExplanation, Triage, log};
