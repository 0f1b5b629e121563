//! What a guest's console says about the kernel's health.
//!
//! [`reports`] finds the kernel's own words about its death and illness. What counts as such is
//! data in `patterns.rs`; the real consoles it was made for are in `tests/console/`.

mod lines;
mod patterns;
mod report;

pub use patterns::Kind;
pub use report::{Report, reports};
