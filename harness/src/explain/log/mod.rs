//! Explains a log: its AVC records, program by program, and the other facts that it states.

mod advice;
mod effect;
mod errors;
mod explanation;
mod item;
mod lockdown;
mod notices;
mod skipped;
mod triage;

pub use explanation::{LogExplanation, log};
pub(super) use item::locate;
pub use triage::Triage;
