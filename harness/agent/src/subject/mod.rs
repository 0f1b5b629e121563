//! What a subject is given: the program that it executes, and its steps as raw syscalls in memory.

mod attr;
mod executables;
mod lower;
mod names;
mod program;
mod region;

pub(crate) use attr::{pmus, tracepoint};
pub(crate) use executables::Executables;
pub(crate) use names::Names;
pub(crate) use program::{Origin, Program};
pub(crate) use region::{Progress, Region};
