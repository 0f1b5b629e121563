//! Kernel trees: the user's tree, and perfsec's own checkout of it that may be changed.

mod commit;
mod debian;
mod error;
mod git;
mod given;
mod repository;
mod top;
mod unpack;
mod version;

pub use commit::{Commit, NotACommit};
pub use debian::DebianSource;
pub use error::{ApplyError, SourceError};
pub(crate) use git::Git;
pub use git::GitError;
pub use repository::Source;
pub use unpack::{UnpackError, unpack};
pub use version::{NotATree, version_of_makefile, version_of_tree};
