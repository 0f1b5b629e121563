//! The agent on a machine that belongs to somebody else: it runs cells on the kernel that the
//! machine runs, beside everything else there, and leaves the machine as it was.
//!
//! It is two processes. The worker serves the lane, and writes down each change in the journal
//! before it makes it. The guardian waits until the worker has ended, however that happens, and
//! puts everything back. On a machine that perfsec reaches over a connection there is a third, the
//! relay.

mod change;
mod guardian;
pub(crate) mod journal;
mod log;
mod policy;
mod relay;
mod role;
mod worker;

pub(crate) use role::Role;
