//! The machines that run kernels. Only `qemu` knows what QEMU is. Only `live` knows machines that
//! run a kernel of their own: `here` is the one that perfsec itself runs on, `ssh` reaches others.
//! Only `site` starts kernels on real machines.

mod channel;
mod error;
pub mod fake;
pub mod faulty;
pub mod here;
mod incident;
mod initramfs;
mod live;
mod load;
mod name;
mod parameters;
mod pool;
mod program;
pub mod qemu;
mod setup;
mod shared_console;
mod sink;
pub mod site;
pub mod ssh;
mod system;

pub use error::{Blame, MachineError};
pub(crate) use incident::clauses;
pub use incident::{End, Incident, MemoryDump};
pub use live::CannotRun;
pub use load::Load;
pub use name::{MachineName, MachineNameError};
pub use pool::{Aftermath, CannotBoot, Guest, GuestSystem, Machinery, Pool};
pub use program::GuestProgram;
pub use setup::MachineSetup;
pub use shared_console::Traffic;
pub use sink::{CONSOLE_KEPT, Incidents, Sink, incidents};
pub use system::{pack_system, system_parameters};
