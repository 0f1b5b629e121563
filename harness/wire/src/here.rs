//! The agent on a machine that perfsec does not own: its files and its exit codes.

/// Name of the agent's program in its private directory.
pub const AGENT: &str = "agent";
/// Name of the encoded [`Preparation`](crate::Preparation) there.
pub const PREPARATION: &str = "preparation";
/// Name of the program of subjects there.
pub const SUBJECT: &str = "subject";

/// The first argument of an agent that is a [relay](crate::relay); the second is its directory.
pub const RELAY: &str = "relay";

/// Exit code of the guardian if it could not put everything back; it has said what.
pub const LEFT_CHANGED: u8 = 1;
/// Exit code of the guardian if it did not start a worker; it has said why.
pub const NOT_STARTED: u8 = 2;
/// Exit code of the guardian if a signal ended the worker: this and the signal's number.
pub const KILLED_BY: u8 = 64;

/// The attribute of perfsec's domains in a policy that they were added to. A policy that has its
/// name is not the machine's own.
pub const OUR_DOMAINS: &str = "perfsec_domain";
