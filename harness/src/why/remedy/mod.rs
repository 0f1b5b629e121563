//! Searches the smallest changes that open access, each computed again before it is given.

mod blocked;
mod change;
mod search;

pub(crate) use blocked::blocked;
pub(crate) use change::{Change, libcap, te};
pub(crate) use search::{Remedy, remedies};
