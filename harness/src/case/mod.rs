//! Cases: one scenario per file, read, checked and expanded into cells.

mod adapt;
mod axes;
mod bindings;
mod complete;
mod condition;
mod error;
mod expectation;
mod file;
mod level;
mod library;
mod lines;
mod listing;
mod machine;
mod model;
mod read;
mod setting;
mod step_table;
mod steps;
mod values;

pub use axes::{Axes, Coordinates, Selector};
pub(crate) use bindings::needed;
pub use condition::{Circumstances, Condition, KnownDifference};
pub(crate) use error::Mistakes;
pub use error::{CaseError, CaseErrors};
pub use expectation::GuardedTranscript;
pub use file::{COMM, UNPRIVILEGED};
pub(crate) use file::{CaseFile, WhenTable};
pub use level::Level;
pub use library::{Library, LibraryError};
pub(crate) use lines::{first_line, line_number, line_span};
pub use machine::MachineProperty;
pub use model::{Case, CaseProcess, Expect, Expectation, OtherCase};
pub(crate) use read::read_conditions;
pub use setting::Setting;
