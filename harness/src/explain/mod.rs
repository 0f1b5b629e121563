//! Says which check refused, where in the kernel, and what would allow it.
//!
//! What is known is data (`cases/permissions.toml`, `cases/points.toml`) and one walk through
//! `perf_event_open()` ([`Open`]); three kinds of question are answered from it: a log, a cell, and a symptom
//! in words.

mod cell;
mod knowledge;
mod log;
mod missing;
mod symptom;
mod text;
mod walk;

pub use cell::cell;
pub use knowledge::{Knowledge, KnowledgeError, Permission};
pub use log::{Explained, Sorted, log};
pub use symptom::{Symptom, SymptomError};
pub use walk::{Check, Open, Question};
