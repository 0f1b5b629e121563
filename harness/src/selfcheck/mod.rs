//! Whether the suite sees: kernels that are broken on purpose, and the cells that notice it.

mod check;
mod mutation;
mod outcome;
mod text;

pub use check::{Check, CheckError, require_cells};
pub use mutation::{Mutation, MutationError, built_in, directory, select};
pub use outcome::{Counts, Notice, Outcome};
pub use text::{line, summary};
