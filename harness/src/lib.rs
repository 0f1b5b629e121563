//! The library of perfsec.

pub mod console;
