//! Comparing runs: which cells differ, in groups that differ in the same way, and a first guess why.
//!
//! Everything here is made of run records and of nothing else. Whether a difference is right is not asked: the
//! judge said that of each side, and the cases say which differences between kernels they expect.

mod baseline;
mod cause;
mod change;
mod comparison;
mod difference;
mod names;
mod question;
mod side;
mod sorting;
mod text;

pub use baseline::{Baseline, BaselineError, Since};
pub use change::{Change, How};
pub use comparison::{Apart, Because, Cells, Comparison, Group, Kind, NothingInCommon, SideWords};
pub use question::{Question, Returned};
pub use side::{Side, sides};
pub use text::text;
