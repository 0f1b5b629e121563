//! The plan of a run: lanes of cells, selected before anything boots.

mod answers;
mod cell;
mod filter;
mod index;
mod names;
mod order;
mod shard;

pub(crate) use answers::is_answers;
pub use answers::{answers, question};
pub use cell::{CONTEXTS, PlannedCell};
pub use filter::Filter;
pub(crate) use index::CellIndex;
pub use names::{CellNames, NotAGlob};
pub use order::{group_by_boot, likeliest_first, repeat, shuffle};
pub use shard::Shard;
