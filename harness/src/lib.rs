//! The library of perfsec.

pub mod cache;
pub mod host;
pub mod kernel;
