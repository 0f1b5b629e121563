//! Runs lanes of cells on machines and emits events.

mod death;
mod execute;
mod lane;
mod readback;

#[cfg(test)]
mod tests;

pub use execute::{Execution, execute};
pub use lane::{LanePlan, Limits, run_lane};
pub use readback::refusal_text;
