//! Audit records in every form that people have, and what else logs say about perf.
//!
//! A log is untrusted input: program names in it are chosen by the programs.

mod arch;
mod assemble;
mod denial;
mod extent;
mod forms;
mod lines;
mod log;
mod notice;
mod syscall;

pub use denial::{Context, Denial, MalformedRecord, SysAdminReason};
pub(crate) use denial::{is_capability, is_name};
pub use forms::{FORMS, Form, FormCounts, FormDescription};
pub use log::{Log, LogReader, RecordGroup};
pub use notice::{
    AppArmorRecord, DecisionSummary, Notice, SeccompAction, SeccompRecord, UnknownHandling,
};
pub use syscall::{AuditedCall, CallOutcome, CallPurpose};
pub(crate) use syscall::{bpf_command_name, syscall_name};
