//! Transcripts: the written form of an observation. There is one line per syscall, as in strace
//! output, with the effects of the syscall indented below it.
//!
//! ```text
//! perf_event_open(software/dummy, pid=-1, cpu=0) = fd
//!   avc denied { open } tclass=perf_event
//!   cap perfmon = granted
//! ```
//!
//! Case files contain expectations in this form, and [`observed_transcript`] writes observations in
//! it, so that the two can be compared line by line. The comparison covers whole records: if the
//! short form of an AVC record does not expand to the record byte for byte, the whole record is
//! written.

mod avc;
mod effect;
mod observed;
mod result;

pub use avc::{Avc, Subject, format_avc};
pub use effect::{CapLine, CapVerdict, Effect, Holds, is_capability_check, parse as parse_effect};
pub use observed::{ExtraLines, ObservedTranscript, observed_transcript};
pub use result::{CallResult, ResultError, format_result, parse_result};
