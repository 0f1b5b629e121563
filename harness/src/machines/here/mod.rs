//! This machine, with the kernel that it runs.

mod log;
mod reach;
mod running;

pub use reach::{check, pool};
