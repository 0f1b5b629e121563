//! The machines that run kernels. Only `qemu` knows what QEMU is.

mod error;
pub mod fake;
mod incident;
mod load;
mod pool;
pub mod qemu;
mod setup;

pub use error::{Blame, MachineError};
pub use incident::{End, Incident};
pub use load::Load;
pub use pool::{CannotBoot, Guest, Machinery, Pool};
pub use setup::MachineSetup;
