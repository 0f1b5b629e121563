//! The agent on a machine that belongs to somebody else: it runs cells on the kernel that the machine
//! runs, beside everything else there, and leaves the machine as it was.
//!
//! It is two processes. The worker serves the lane, and writes down each change in the journal before
//! it makes it. The guardian waits until the worker has ended, however that happens, and puts
//! everything back.

mod change;
mod guardian;
pub(crate) mod journal;
mod role;
mod worker;

pub(crate) use role::Role;
