//! ftrace: the subject's syscalls, and the checks that the kernel makes during each.

mod coverage;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod probes;
mod ring;
mod setup;

pub(crate) use event::{Event, EventData};
pub(crate) use probes::{Instance, tracefs};
pub(crate) use setup::Trace;
