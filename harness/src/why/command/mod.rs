//! Commands as people run them, and the calls that they make. perf's command line is data
//! (`perf.toml`).

mod calls;
mod event;
mod line;
mod tool;

pub(crate) use calls::{Call, OTHER};
pub use line::{ToolCommand, ToolCommandError};
pub(crate) use tool::{Does, Tools, ValuePlace};
