//! The host: what it is, what it has of what perfsec needs, and how it gets the rest.

mod inspect;
mod install;
mod manager;
mod os_release;
mod path;
mod tool;

pub use inspect::{Finding, Host, Kvm, State};
pub use install::InstallError;
pub use manager::Manager;
pub use os_release::OsRelease;
pub(crate) use path::find_program;
pub use tool::{Need, Probe, TOOLS, Tool};

/// STUB
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Missing;
/// STUB
pub fn demand(_: &[Need]) -> Result<(), Missing> {
    Ok(())
}
