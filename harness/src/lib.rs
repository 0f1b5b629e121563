//! The library of perfsec.

pub mod cache;
pub mod kernel;
