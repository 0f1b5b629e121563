//! Kernel trees: what the user has, and a checkout of perfsec's own in which it can be changed.

mod commit;
mod debian;
mod error;
mod git;
mod given;
mod links;
mod meter;
mod repository;
mod top;
mod unpack;
mod version;

pub use commit::{Commit, NotACommit};
pub use debian::{DebianSource, DebianWanted};
pub use error::{ApplyError, SourceError};
pub(crate) use git::Git;
pub use git::GitError;
pub use repository::Source;
pub use unpack::{UnpackError, unpack};
pub use version::{NotATree, version_of_makefile, version_of_tree};
