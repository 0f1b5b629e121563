//! The answer: facts, the kernel's questions, what refuses, and what would open access.

mod build;
mod model;
mod notes;
mod schema;
mod seen;
mod text;

pub use build::{Inquiry, answer};
pub use model::WhyAnswer;
pub use schema::WhySchema;
