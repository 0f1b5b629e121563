//! Finds reports of panics, oopses and warnings in a guest's console output.
//!
//! `patterns.rs` lists, as data, how reports begin. Consoles of real kernels, each with the reports
//! to find, are in `tests/console/`.

mod lines;
mod patterns;
mod report;

pub(crate) use lines::printable;
pub use patterns::ReportKind;
pub use report::{Report, reports};
