//! ftrace: which syscalls the subject made, and what was asked of the security modules meanwhile.

mod coverage;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod ring;
mod setup;

pub(crate) use event::{Event, What};
pub(crate) use setup::{Trace, tracefs};
