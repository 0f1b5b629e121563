//! Tests the suite: breaks kernels on purpose and requires cells to notice.

mod check;
mod mutation;
mod outcome;
mod text;

pub use check::{Check, CheckError, require_cells};
pub use mutation::{Mutation, MutationError, built_in, directory, select};
pub use outcome::{Counts, Notice, Outcome};
pub use text::{line, summary};
