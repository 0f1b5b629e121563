//! The host: its operating system, the tools that perfsec needs, and how to install them.

mod demand;
mod inspect;
mod install;
mod manager;
mod os_release;
mod path;
mod tool;

pub use demand::{MissingTools, require};
pub use inspect::{Host, Kvm, ToolFinding, ToolState};
pub use install::InstallError;
pub use manager::PackageManager;
pub use os_release::OsRelease;
pub(crate) use path::find_program;
pub(crate) use tool::DEBIAN_KEYRING;
pub use tool::{HostTool, Importance, Need, Probe, TOOLS};
