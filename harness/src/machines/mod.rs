//! The machines that run kernels. Only `qemu` knows what QEMU is, and only `live` knows machines that
//! are not perfsec's; `here` is the one that perfsec itself runs on.

mod channel;
mod error;
pub mod fake;
pub mod faulty;
pub mod here;
mod incident;
mod live;
mod load;
mod name;
mod pool;
pub mod qemu;
mod setup;
mod sink;
pub mod ssh;

pub use error::{Blame, MachineError};
pub(crate) use incident::clauses;
pub use incident::{End, Incident};
pub use live::CannotRun;
pub use load::Load;
pub use name::{MachineName, MachineNameError};
pub use pool::{Aftermath, CannotBoot, Guest, GuestSystem, Machinery, Pool};
pub use setup::MachineSetup;
pub use sink::{CONSOLE_KEPT, Incidents, Sink, incidents};
