//! Cases: one scenario a file, read, checked and expanded into cells.

mod axes;
mod complete;
mod condition;
mod error;
mod expectation;
mod file;
mod library;
mod lines;
mod model;
mod values;

pub use axes::{Axes, Coordinates, Selector};
pub use condition::{Circumstances, Condition};
pub(crate) use error::Mistakes;
pub use error::{CaseError, CaseErrors};
pub use expectation::{Expected, Transcript, abbreviated};
pub use file::UNPRIVILEGED;
pub use library::{Library, LibraryError};
pub(crate) use lines::line_of;
pub use model::{Case, CaseProcess, Expect, OtherCase};
