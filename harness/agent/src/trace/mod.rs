//! ftrace: the subject's syscalls, and the checks that the kernel makes during each.

mod buffer;
mod coverage;
mod event;
#[cfg(test)]
pub(crate) mod fixture;
mod format;
mod probes;
mod ring;
mod setup;

pub(crate) use buffer::Buffers;
pub(crate) use event::{Event, EventData};
pub(crate) use format::{Field, Format};
pub(crate) use probes::{
    GROUP, Instance, enable_event, own_folder, probe_names, tracefs, undefine_probes,
};
pub(crate) use setup::{Trace, overrun};
