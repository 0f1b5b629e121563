//! A machine that is reached over ssh, with the kernel that it runs. A relay there starts the
//! agent, as `here` does on this machine, and puts everything back when the connection is lost.

mod connection;
mod destination;
mod error;
mod guest;
mod lost;
mod reach;
mod script;

pub use destination::{Destination, DestinationError};
pub use error::SshError;
pub use reach::{Reached, reach};
