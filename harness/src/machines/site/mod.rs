//! Real machines of the user's site: a kernel under test is started on them from memory.

mod arming;
mod command;
mod control;
mod error;
mod file;
mod hang;
mod image;
mod lease;
mod listing;
mod machine;
mod name;
mod noise;
mod own_system;
mod payload;
mod pool;
mod power;
mod pstore;
mod returning;
mod running;
mod session;
mod signs;
mod source;
mod ssh;
mod state;
mod table;
mod terminal;
mod way;

pub use control::Checked;
pub use error::{Phase, SiteError};
pub use file::{
    LeaseCommands, PowerCommands, SITE_FILE, Site, SiteFileError, SiteLimits, Sites, UnknownSite,
};
pub use lease::LeasedMachine;
pub use listing::{Health, ListedMachine, list};
pub use name::{SiteName, SiteNameError};
pub use noise::{LinePattern, LinePatternError};
pub use pool::{SiteOptions, SitePool};
pub use source::{ConsoleSource, Serial, SerialError, SourceError};
pub use state::{Broken, Control, Lease, LeaseError, MachineState, States};
pub(crate) use table::SiteFile;
pub use way::{ArmCommands, BootKind, BootWay};
