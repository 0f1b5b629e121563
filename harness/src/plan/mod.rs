//! What a run will do: lanes of cells, chosen before anything boots.

mod cell;
mod filter;
mod names;
mod order;
mod shard;

pub use cell::{COMM, PlannedCell, cells_per_boot};
pub use filter::Filter;
pub use names::{CellNames, NotAGlob};
pub use order::{by_boot, repeated, shuffled};
pub use shard::Shard;
