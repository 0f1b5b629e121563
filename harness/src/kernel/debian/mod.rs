//! Finds Debian's kernels and their sources by suite or version, and downloads them.

mod apt;
mod archive;
mod catalogue;
mod mirror;
mod order;
mod suite;

pub use apt::{AptError, KEYRING};
pub use archive::DebianError;
pub(crate) use archive::{Archive, ArchivePackage};
pub use catalogue::PackageKind;
