//! SELinux policies: found by name or file, compiled by `secilc`, cached by content; and what they
//! answer.

mod answers;
mod binary;
mod cil;
mod compile;
mod generate;
mod header;
mod ours;
mod table;

pub use answers::{Answer, Answers, TableAnswers};
pub use binary::{DEFAULT, Policies, Policy};
pub use compile::{PolicyError, compiler};
pub use table::TableError;
