//! Compares runs: the cells that differ, in groups that differ in the same way, each with a first
//! guess at the cause.
//!
//! Everything here is made from run records. It does not decide if a difference is right: the judge
//! has decided that for each side, and the cases say which differences between kernels they expect.

mod baseline;
mod cause;
mod change;
mod comparison;
mod difference;
mod group;
mod names;
mod question;
mod side;
mod sorting;
mod text;

pub use baseline::{Baseline, BaselineComparison, BaselineError};
pub use change::{Change, ChangeKind};
pub use comparison::{Comparison, NothingInCommon, SideSummary};
pub use group::{CaseReason, Cells, DifferenceKind, Exclusion, Group};
pub use question::{QuestionId, ReturnValue};
pub use side::{Side, sides};
pub use text::text;
