//! Debian's kernels: find one in the archive by suite or version, and fetch it.

mod apt;
mod archive;
mod catalogue;
mod mirror;
mod order;
mod suite;

pub use apt::{AptError, KEYRING};
pub(crate) use archive::Archive;
pub use archive::DebianError;
