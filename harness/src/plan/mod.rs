//! What a run will do: lanes of cells, chosen before anything boots.

mod cell;
mod filter;
mod order;

pub use cell::{CELLS_PER_BOOT, COMM, PlannedCell, lane};
pub use filter::{Filter, FilterError};
pub use order::{by_boot, repeated, shuffled};
