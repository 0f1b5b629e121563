//! Machines that run already: cells run beside everything else there, on the kernel and under the
//! policy that the machine has, and everything that they change is put back.

mod check;
mod end;
mod log;
mod pool;

pub use check::CannotRun;
pub(super) use check::{Rights, check};
pub(super) use end::{ended, guardian_killed};
pub(super) use log::console_line;
pub(super) use pool::{Launch, LivePool, Reach, Traces};
