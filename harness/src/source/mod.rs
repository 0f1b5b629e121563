//! The source of a kernel: where it comes from, and what version it is.

mod debian;
mod links;
mod meter;
mod unpack;
mod version;

pub use debian::{DebianSource, DebianWanted};
pub use unpack::{UnpackError, unpack};
pub use version::{NotATree, version_of_makefile, version_of_tree};
