//! ftrace: which syscalls the subject made, and what was asked of the security modules meanwhile.

mod event;
mod format;
mod ring;
mod setup;

pub(crate) use event::{Event, What};
pub(crate) use setup::{Trace, tracefs};
