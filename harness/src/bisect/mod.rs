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

pub use commit::{CommitWords, Revision};
pub use ends::{Mark, unjudged};
pub use error::{BisectError, End};
pub use find::bisect;
pub use outcome::{Found, Outcome, Step};
pub use step::{Judged, step};
pub(crate) use text::counts;
pub use text::text;
