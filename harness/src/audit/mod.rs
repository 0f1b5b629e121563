//! Audit records as people have them: a line of audit.log, of the kernel's log, of the journal.
//!
//! A log is not trusted: it holds what programs call themselves. Every text that is taken from it is made
//! printable here.

mod denial;
mod log;
mod syscall;

pub use denial::{Context, Denial, MalformedRecord, SysAdminReason};
pub(crate) use denial::{is_capability, is_name};
pub use log::{Log, RecordGroup};
pub use syscall::{AuditedCall, CallOutcome};
