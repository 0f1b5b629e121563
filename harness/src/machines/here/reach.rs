//! The way to this machine.

use std::sync::Arc;

use super::running::Running;
use crate::foreign::LocalFiles;
use crate::kernel::Kernel;
use crate::machines::live::{self, CannotRun, Launch, LivePool, Reach, Rights};
use crate::machines::{Blame, Guest, MachineError, MachineName, Pool};

/// Checks if cells can run on this machine.
///
/// # Errors
///
/// The first thing that is missing.
pub fn check() -> Result<(), CannotRun> {
    live::check("this machine", &LocalFiles, Rights::local())
}

/// This machine, which runs the kernel.
#[must_use]
pub fn pool(kernel: Kernel) -> Arc<dyn Pool> {
    Arc::new(LivePool::new(Box::new(Here), kernel, &LocalFiles))
}

/// The way to this machine.
#[derive(Debug)]
struct Here;

impl Reach for Here {
    fn name(&self) -> String {
        MachineName::Here.to_string()
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Box<dyn Guest>, MachineError> {
        let running = Running::start(launch.load, launch.sink, Arc::clone(launch.traces));
        Ok(Box::new(running.map_err(|error| MachineError::new(Blame::Host, error))?))
    }
}
