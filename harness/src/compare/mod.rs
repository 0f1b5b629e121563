//! Comparing runs: which cells differ, in groups that differ in the same way, and a first guess why.
//!
//! Everything here is made of run records and of nothing else. Whether a difference is right is not asked: the
//! judge said that of each side, and the cases say which differences between kernels they expect.

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
