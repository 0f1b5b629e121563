//! `struct perf_event_attr` by its own field names (`perf_event_open(2)`).

mod bits;
mod event;
mod structure;

pub use crate::named::Named;
pub use bits::{Access, BranchSampleType, ReadFormat, SampleType};
pub use event::{Address, Event, EventError, Hardware, Software};
pub use structure::PerfEventAttr;
