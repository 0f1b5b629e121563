//! The cache directory.
//!
//! Several perfsec processes can share it, and deleting an entry costs only the time to make it
//! again. Nothing in it is believed: an entry is read only if it is what was written, see
//! [`Cache::find`].

mod directory;
mod entries;
mod error;
mod limit;
mod lock;
mod rooms;
mod seal;
#[cfg(test)]
pub(crate) mod spoil;
mod usage;

pub use directory::{CACHE_DIR_VARIABLE, Cache, ExclusiveCache};
pub use entries::{DamagedEntry, Verified};
pub use error::CacheError;
pub use limit::{CACHE_LIMIT_VARIABLE, Limit};
pub use lock::Lock;
pub use rooms::{Holds, ROOMS, Room};
pub use seal::Damage;
pub use usage::{Usage, days_ago};
