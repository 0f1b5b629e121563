//! Whether the suite sees: kernels that are broken on purpose, and the cells that notice it.

mod mutation;
mod outcome;
mod text;

pub use mutation::{Mutation, MutationError, built_in, directory, select};
pub(crate) use outcome::death;
pub use outcome::{Counts, Notice, Outcome};
pub use text::{line, summary};
