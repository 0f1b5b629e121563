//! Subjects: their executables, and their steps as raw syscalls in shared memory.

mod attr;
mod executables;
mod launch;
mod lower;
mod names;
mod output;
mod program;
mod region;

pub(crate) use attr::{pmus, tracepoint};
pub(crate) use executables::{Executables, file_capabilities};
pub(crate) use launch::Launch;
pub(crate) use lower::assemble;
pub(crate) use names::Names;
pub(crate) use program::{Origin, Program};
pub(crate) use region::{Progress, Region};
