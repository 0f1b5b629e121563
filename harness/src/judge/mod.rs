//! Compares what a cell did with its expectation.
//!
//! The judge reads only an observation and an expectation. It never talks to a machine, so a run
//! record can be judged again.

mod answers;
mod attempt;
mod cell;
mod judgement;
mod missing;
mod serials;
mod verdict;

pub use answers::judge_answers;
pub use attempt::Attempt;
pub use cell::judge;
pub use judgement::Judgement;
pub use verdict::Verdict;
