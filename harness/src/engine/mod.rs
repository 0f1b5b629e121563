//! Obtains kernels, runs cells on machines, and emits what happens as events.

mod attempts;
mod board;
mod conversation;
mod core;
mod death;
mod domains;
mod earlier;
mod error;
mod execute;
mod guest;
mod kept;
mod lab;
mod lane;
mod limits;
mod obtain;
mod plain;
mod readback;
mod results;
mod schedule;
mod setup;
mod spec;
mod suite;
mod survey;
mod terminal;
mod watch;

#[cfg(test)]
mod tests;

pub use core::{Engine, Listener};
pub use earlier::{EarlierLane, Keep, take_over};
pub use error::EngineError;
pub use execute::Execution;
use execute::execute;
pub use kept::KeptRuns;
pub use lab::{Batch, EngineLab, Lab, RecordedRun, Reuse};
pub use lane::{LanePlan, UntilBroken};
pub use limits::Limits;
pub use obtain::obtain;
pub use plain::PlainListener;
pub use readback::refusal_text;
pub use setup::{ObtainSetup, Setup, default_jobs};
pub use spec::{KernelSpec, KernelSpecError};
pub use suite::Suite;
pub use survey::Surveyed;
pub use terminal::{Terminal, TerminalError};
