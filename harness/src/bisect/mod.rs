//! Which commit made cells look otherwise: `git bisect`, driven by what cells see.

mod commit;
mod ends;
mod engine;
mod error;
mod outcome;
mod search;
#[cfg(test)]
mod tests;
mod text;

pub use commit::{CommitWords, Revision};
pub use ends::{Mark, unjudged};
pub use engine::{Lab, Ran, bisect};
pub use error::{BisectError, End};
pub use outcome::{Found, Outcome, Step};
pub(crate) use text::counts;
pub use text::text;
