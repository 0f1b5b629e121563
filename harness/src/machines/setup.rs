//! The user's choice of machines.

use std::sync::Arc;

use super::qemu::{QemuOptions, QemuPool};
use super::{MachineError, Pool};
use crate::cache::Cache;

/// The user's choice of machines.
#[derive(Clone, Debug)]
pub enum MachineSetup {
    /// Virtual machines.
    Qemu(Box<QemuOptions>),
    /// Machines that the caller made: one that runs already, or those of tests and benchmarks.
    Pool(Arc<dyn Pool>),
}

impl Default for MachineSetup {
    fn default() -> Self {
        Self::Qemu(Box::default())
    }
}

impl MachineSetup {
    /// Opens the pool of these machines.
    ///
    /// # Errors
    ///
    /// Returns an error if the host cannot run them.
    pub fn open(self, cache: &Cache) -> Result<Arc<dyn Pool>, MachineError> {
        Ok(match self {
            Self::Qemu(options) => Arc::new(QemuPool::open(*options, cache)?),
            Self::Pool(pool) => pool,
        })
    }
}
