//! SELinux policies: found by name or file, compiled by `secilc`, cached by content.

mod binary;
mod compile;
mod header;

pub use binary::{DEFAULT, Policies, Policy};
pub use compile::{PolicyError, compiler};
