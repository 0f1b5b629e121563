//! The user's choice of machines.

use std::sync::Arc;

use super::here::HerePool;
use super::qemu::{QemuOptions, QemuPool};
use super::{MachineError, Pool};
use crate::cache::Cache;
use crate::kernel::Kernel;

/// The user's choice of machines.
#[derive(Clone, Debug)]
pub enum MachineSetup {
    /// Virtual machines.
    Qemu(Box<QemuOptions>),
    /// This machine, which runs the kernel.
    Here(Box<Kernel>),
    /// Machines that the caller made, as tests and benchmarks do.
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
            Self::Here(kernel) => Arc::new(HerePool::new(*kernel)),
            Self::Pool(pool) => pool,
        })
    }
}
