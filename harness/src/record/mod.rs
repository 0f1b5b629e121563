//! The run record: everything that happened in a run, one event a line, in the order it happened.
//!
//! The runner emits [`Event`]s; progress, the record's file and [`Run`] are subscribers and nothing
//! else. Every report is made of a [`Run`], so it can be made again from the file, and a run that is
//! killed leaves all that it had seen.

mod error;
mod event;
mod merge;
mod read;
mod run;
mod write;

pub use error::RecordError;
pub use event::*;
pub use merge::{MergeError, MergedRun, merge};
pub use read::{LoadedRecord, Truncation, is_record, read};
pub use run::{LaneRun, MisplacedEvent, Run, VerdictCounts};
pub use write::Writer;
