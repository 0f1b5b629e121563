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

/// What a need lacks on this host.
#[derive(Debug, thiserror::Error)]
#[error("find {0}")]
pub struct Missing(String);

/// Whether the host has what these needs ask for.
///
/// # Errors
///
/// What it lacks.
pub fn demand(needs: &[Need]) -> Result<(), Missing> {
    let host = Host::inspect();
    let lacking: Vec<_> = host.lacking(needs).map(|finding| finding.tool.name).collect();
    if lacking.is_empty() { Ok(()) } else { Err(Missing(lacking.join(", "))) }
}
