//! Kernels as they came, packed: for machines on which another kernel loads them. QEMU boots most
//! of them unpacked, so the cache has their bzImage only if it was asked for.

use std::path::PathBuf;

use crate::cache::{Cache, CacheError, Room};

/// The end of the name of a bzImage in the cache.
pub(super) const PACKED: &str = "bzimage";

/// The bzImage with this SHA-256, in hexadecimal, if the cache has it.
pub(crate) fn find_packed(cache: &Cache, sha256: &str) -> Option<PathBuf> {
    cache.find_known(Room::KERNEL, &name(sha256), sha256)
}

/// Keeps a bzImage with this SHA-256.
pub(crate) fn keep_packed(
    cache: &Cache,
    sha256: &str,
    image: &[u8],
) -> Result<PathBuf, CacheError> {
    cache.publish(Room::KERNEL, &name(sha256), image)
}

fn name(sha256: &str) -> String {
    format!("{sha256}.{PACKED}")
}
