//! Surveys a policy: who may do what with perf, and what is logged about it.
//!
//! The kernel is asked about every domain, the evaluator computes the outcome of each operation,
//! and the suite's cells run in some of the domains: what they see must be what was computed.

mod compare;
mod compute;
mod domains;
mod html;
mod operation;
mod outcome;
mod text;

pub use compare::{SurveyDifference, difference, render};
pub use compute::{groups, rows};
pub(crate) use domains::uses;
pub use domains::{Candidate, candidates, contexts_of, undefined, uses_perf};
pub use html::html;
pub use operation::{Operation, Operations, OperationsError};
pub use outcome::{Column, Outcome, Row, Survey, SurveyFileError};
pub use text::text;
