//! Explains which check refused, where in the kernel, and what would allow it.
//!
//! The knowledge is data (`cases/permissions.toml`, `cases/points.toml`) and a walk through
//! `perf_event_open()` ([`EventWalk`]). It explains logs, cells, and symptoms in words.

mod assign;
mod cell;
mod knowledge;
mod log;
mod missing;
mod symptom;
mod text;
mod walk;

pub use cell::cell;
pub use knowledge::{Knowledge, KnowledgeError, Permission};
pub use log::{LogExplanation, Triage, log};
pub use symptom::{Symptom, SymptomError};
pub use walk::{EventWalk, WalkCheck, WalkQuestion};
