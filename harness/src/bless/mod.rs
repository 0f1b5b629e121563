//! Writes what cells saw into case files, for a person to review: as questions where they explain
//! it, otherwise as transcripts.

mod cover;
mod expectations;
#[cfg(test)]
mod fixture;
mod infer;
mod questions;
mod rewrite;

pub use infer::{Explanation, Precedents, infer};
pub use rewrite::{BlessError, Blessed, rewrite};
