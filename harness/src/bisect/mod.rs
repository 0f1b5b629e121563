//! Finds the commit that changed cells: `git bisect`, driven by what the cells see.

mod commit;
mod ends;
mod error;
mod find;
mod outcome;
mod search;
mod step;
#[cfg(test)]
mod tests;
mod text;

pub use commit::{CommitInfo, Revision};
pub use ends::{BisectMark, unjudged};
pub use error::{BisectEnd, BisectError};
pub use find::bisect;
pub use outcome::{BisectStep, Bisection, Culprit};
pub use step::{JudgedCommit, step};
pub(crate) use text::counts;
pub use text::text;
