//! Writes observed transcripts into case files, for a person to review.

mod cover;
mod rewrite;

pub use rewrite::{BlessError, rewrite};
