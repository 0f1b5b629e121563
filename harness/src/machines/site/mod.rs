//! Real machines of the user's site: a kernel under test is started on them by kexec, from RAM.

mod command;
mod error;
mod file;
mod image;
mod lease;
mod machine;
mod name;
mod own_system;
mod pool;
mod power;
mod running;
mod session;
mod source;
mod ssh;
mod state;

pub use error::{Phase, SiteError};
pub use file::{
    LeaseCommands, PowerCommands, SITE_FILE, Site, SiteFileError, SiteLimits, Sites, UnknownSite,
};
pub use lease::LeasedMachine;
pub use name::{SiteName, SiteNameError};
pub use pool::SitePool;
pub use source::{ConsoleSource, Serial, SerialError, SourceError};
pub use state::{Broken, Control, Lease, LeaseError, MachineState, States};
