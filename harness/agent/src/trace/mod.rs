//! ftrace: the subject's syscalls, and the checks that the kernel makes during each.

mod coverage;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod ring;
mod setup;

pub(crate) use event::{Event, EventData};
pub(crate) use setup::{Trace, tracefs};
