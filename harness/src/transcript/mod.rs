//! Transcripts: the written form of an observation. There is one line per syscall, as in strace
//! output, with the effects of the syscall indented below it.
//!
//! ```text
//! perf_event_open(software/dummy, pid=-1, cpu=0) = fd
//!   avc denied { open } tclass=perf_event
//!   cap perfmon = granted
//! ```
//!
//! [`observed_transcript`] makes a [`Transcript`] of an observation. An [`ExpectedTranscript`]
//! comes from a case and may leave counts open; it is fitted to what was observed, and then
//! compared line by line. The comparison covers whole records: if the short form of an AVC record
//! does not expand to the record byte for byte, the whole record is written.
//!
//! Only files contain transcripts as text. A record is the output of a guest, so reading one never
//! fails: a line out of shape is kept verbatim.

mod avc;
mod call;
mod effect;
mod expected;
mod fit;
mod fitted;
mod glob;
mod observed;
mod program;
mod program_fit;
mod record;
mod result;
mod whole;

pub(crate) use avc::quoted;
pub use avc::{Avc, Subject, short_context};
pub(crate) use call::ELIDED;
pub use call::{CallHead, Syscall};
pub use effect::{CapLine, CapVerdict, Effect, Holds};
pub use expected::{ExpectedCall, ExpectedEffects, ExpectedTranscript, Times};
pub use fitted::{ExpectedLine, FittedTranscript};
pub use observed::{ExtraLines, ObservedTranscript, observed_transcript};
pub use record::{RecordLine, RecordType};
pub(crate) use result::NOTHING;
pub use result::{CallResult, ResultError};
pub use whole::{Transcript, TranscriptCall};
