//! Programs of the guest that steps run: started like a subject, followed with their threads and
//! children.

mod attribute;
mod event;
mod file;
mod names;
mod run;
mod tasks;
mod trace;

pub(crate) use run::{Programs, Ran, run};
