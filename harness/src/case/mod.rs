//! Cases: one scenario per file, read, checked and expanded into cells.

mod axes;
mod bindings;
mod complete;
mod condition;
mod error;
mod expectation;
mod file;
mod library;
mod lines;
mod machine;
mod model;
mod read;
mod steps;
mod values;

pub use axes::{Axes, Coordinates, Selector};
pub use condition::{Circumstances, Condition, KnownDifference};
pub(crate) use error::Mistakes;
pub use error::{CaseError, CaseErrors};
pub use expectation::{ExpectedLine, Transcript, abbreviate};
pub use file::{COMM, UNPRIVILEGED};
pub use library::{Library, LibraryError};
pub(crate) use lines::line_number;
pub use machine::MachineProperty;
pub use model::{Case, CaseProcess, Expect, OtherCase};
