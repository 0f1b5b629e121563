//! The machines that run kernels. Only `qemu` knows what QEMU is, only `here` changes the machine that
//! perfsec itself runs on, and only `site` starts kernels on real ones.

mod channel;
mod error;
pub mod fake;
pub mod faulty;
pub mod here;
mod incident;
mod initramfs;
mod load;
mod name;
mod parameters;
mod pool;
pub mod qemu;
mod setup;
mod shared_console;
mod sink;
pub mod site;

pub use error::{Blame, MachineError};
pub(crate) use incident::clauses;
pub use incident::{End, Incident, MemoryDump};
pub use load::Load;
pub use name::{MachineName, MachineNameError};
pub use pool::{CannotBoot, Guest, GuestSystem, Machinery, Pool};
pub use setup::MachineSetup;
pub use shared_console::Traffic;
pub use sink::{CONSOLE_KEPT, Incidents, Sink, incidents};
