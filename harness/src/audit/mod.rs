//! Audit records in every form that people have: lines of audit.log, the kernel log, the journal.
//!
//! A log is untrusted input: program names in it are chosen by the programs.

mod assemble;
mod denial;
mod extent;
mod lines;
mod log;
mod syscall;

pub use denial::{Context, Denial, MalformedRecord, SysAdminReason};
pub(crate) use denial::{is_capability, is_name};
pub use log::{Log, RecordGroup};
pub use syscall::{AuditedCall, CallOutcome};
