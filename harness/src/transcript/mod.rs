//! The one written form of what a cell did: a line per syscall in the manner of strace, with what
//! the syscall caused indented below it.
//!
//! ```text
//! perf_event_open(software/dummy, pid=-1, cpu=0) = fd
//!   avc denied { open } tclass=perf_event
//!   cap perfmon = granted
//! ```
//!
//! Case files hold expectations in this form and [`observed`] writes observations in it, so the two
//! are compared line by line, as text. The form loses nothing that is compared: a record that its
//! short form would not give back byte for byte is written out whole.

mod avc;
mod effect;
mod observed;

pub use avc::{Avc, Subject, written};
pub use effect::{CapLine, CapVerdict, Effect, Holds, is_capability_check, parse as parse_effect};
pub use observed::{NOTHING, Observed, Shown, observed};
