//! This machine, with the kernel that it runs: cells run beside everything else on it, under the
//! policy that is loaded, and everything that they change is put back.

mod check;
mod log;
mod pool;
mod running;

pub use check::{CannotRunHere, check};
pub use pool::HerePool;
