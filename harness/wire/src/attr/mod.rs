//! `struct perf_event_attr` by its own field names (`perf_event_open(2)`).

mod bits;
mod event;
mod named;
mod structure;

pub use bits::{Access, BranchSampleType, ReadFormat, SampleType};
pub use event::{Address, Event, EventError, Hardware, Software};
pub use named::Named;
pub use structure::PerfEventAttr;
