//! Hand-written mutations: each patch breaks one property.

mod check;
mod mutation;
mod outcome;
mod text;

pub use check::{Selfcheck, SelfcheckError, require_cells};
pub use mutation::{Mutation, MutationError, built_in, directory, select};
pub use outcome::{MutationCounts, MutationOutcome, Notice};
pub use text::{line, summary};
