//! The host: what it is, what it has of what perfsec needs, and how it gets the rest.

mod demand;
mod inspect;
mod install;
mod manager;
mod os_release;
mod path;
mod tool;

pub use demand::{Missing, demand};
pub use inspect::{Finding, Host, Kvm, State};
pub use install::InstallError;
pub use manager::Manager;
pub use os_release::OsRelease;
pub(crate) use path::find_program;
pub use tool::{Need, Probe, TOOLS, Tool, Weight};
