//! Defaults of options, from the `perfsec.toml` of a project and of the user.
//!
//! The options of a file become words of the command line, in front of those that were typed: so an
//! option means the same wherever it stands, and its value is checked in one place.

mod complete;
mod file;
mod find;
mod noted;
mod schema;
mod settable;

pub use complete::{ConfiguredOption, applies, complete};
pub use file::ConfigFile;
pub use find::{CONFIG_NAME, find};
pub use noted::{command_line, note, noted};
pub use schema::schema;
