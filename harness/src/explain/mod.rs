//! Explains which check refused, where in the kernel, and what would allow it.
//!
//! The knowledge is data (`cases/permissions.toml`, `cases/points.toml` and
//! `cases/functions.toml`). It explains logs, cells, and symptoms in words. Advice about a cell is
//! proved: evaluated again.

mod cell;
mod knowledge;
mod least;
mod location;
mod log;
mod missing;
mod symptom;
mod text;

pub use cell::cell;
pub use knowledge::{Knowledge, KnowledgeError, Permission};
pub use log::{LogExplanation, Triage, log};
pub use symptom::{Symptom, SymptomError};
