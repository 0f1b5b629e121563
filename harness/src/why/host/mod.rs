//! Reads facts from this machine, without root and without changing anything. Every reader takes the
//! root directory, so that a test gives it a made-up tree.

mod container;
mod file;
mod kernel;
mod limits;
mod lockdown;
mod mount;
mod pmu;
mod policy;
mod reader;
mod root;
mod selinux;
mod status;
mod sysctl;
mod tracefs;

pub use reader::{Reading, read};
pub use root::Root;
