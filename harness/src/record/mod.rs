//! The run record: everything that happened in a run, one event per line; in order once the run
//! has ended.
//!
//! The engine emits [`Event`]s; progress, the record's file and [`Run`] only subscribe to them.
//! Every report is made from a [`Run`], so it can be made again from the file, and a run that is
//! killed leaves all that it has seen.

mod digest;
mod error;
mod event;
mod merge;
mod order;
mod read;
mod run;
mod write;

pub use digest::{AlikeCells, CONSOLE_LINES, Digest, LaneDigest};
pub use error::RecordError;
pub use event::*;
pub use merge::{MergeError, MergedRun, merge};
pub(crate) use read::read_from;
pub use read::{LoadedRecord, Truncation, is_record, read};
pub use run::{LaneRun, MisplacedEvent, Run, VerdictCounts};
pub use write::Writer;
