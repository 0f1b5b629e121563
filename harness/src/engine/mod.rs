//! Runs lanes of cells on targets and emits what happens as events.

mod asked;
mod death;
mod execute;
mod lane;

#[cfg(test)]
mod tests;

pub use asked::words as refusal;
pub use execute::{Execution, execute};
pub use lane::{LanePlan, Limits, run_lane};
