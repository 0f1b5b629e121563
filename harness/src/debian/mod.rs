//! Debian's archive: finds kernels, their sources and policies by suite or version, and downloads
//! them.

mod apt;
mod archive;
mod catalogue;
mod command;
mod mirror;
mod named;
mod order;
mod sources;
mod suite;

pub use archive::DebianError;
pub(crate) use archive::{Archive, ArchivePackage};
pub use catalogue::PackageKind;
pub use command::AptError;
pub(crate) use named::NamedPackage;
pub(crate) use sources::{Sources, sources, whole_suite};
