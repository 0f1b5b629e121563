//! SELinux policies: found by name or file, compiled by `secilc`, cached by content; and what they
//! answer.

mod answers;
mod binary;
mod cil;
mod compile;
mod generate;
mod guest;
mod header;
mod ours;
mod table;
mod vector;

pub use answers::{Answer, Answers, TableAnswers};
pub use binary::{DEFAULT, Policies, Policy};
pub use compile::{PolicyError, compiler};
pub use guest::{GuestAnswers, vectors};
pub use ours::source_text;
pub use table::{KERNEL, OBJECT, TableError, classes};
pub use vector::{Access, AccessVector};
