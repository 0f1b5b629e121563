//! Chooses the machines that boot kernels. QEMU is the only kind.

use std::path::PathBuf;
use std::sync::OnceLock;

use perfsec_qemu::Accel;
use perfsec_wire::{Boot, Message};

use super::qemu::Qemu;
use super::{End, Load, Target, TargetError};
use crate::cache::Cache;
use crate::kernel::Kernel;

/// The machines that boot kernels, as the user describes them.
#[derive(Clone, Debug)]
pub struct MachineSetup {
    /// The QEMU program.
    pub program: PathBuf,
    /// What runs the guest's code; `None` to probe for it.
    pub accel: Option<Accel>,
    /// Kernel parameters in addition to those that each boot mode needs.
    pub append: Vec<String>,
}

/// The QEMU program of an x86-64 guest.
pub const PROGRAM: &str = "qemu-system-x86_64";

impl Default for MachineSetup {
    fn default() -> Self {
        Self { program: PathBuf::from(PROGRAM), accel: None, append: Vec::new() }
    }
}

/// Machines of one kind, ready to boot any kernel.
#[derive(Debug)]
pub struct Machines {
    setup: MachineSetup,
    version: String,
    accel: OnceLock<Accel>,
}

impl Machines {
    /// Looks for the machines.
    ///
    /// # Errors
    ///
    /// Returns an error if QEMU does not run.
    pub fn open(setup: MachineSetup) -> Result<Self, TargetError> {
        let version = Qemu::version(&setup.program)?;
        let accel = setup.accel.map_or_else(OnceLock::new, OnceLock::from);
        Ok(Self { setup, version, accel })
    }

    /// The version of the machines' program, in its own words.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Finds out, unless it is known, what accelerates guests, by booting this kernel.
    ///
    /// # Errors
    ///
    /// Returns an error if QEMU cannot be started at all.
    pub fn probe(
        &self,
        kernel: &Kernel,
        cache: &Cache,
        say: &dyn Fn(&str),
    ) -> Result<(), TargetError> {
        if self.accel.get().is_none() {
            let accel = Qemu::probe(&self.setup.program, kernel, cache, say)?;
            self.accel.get_or_init(|| accel);
        }
        Ok(())
    }

    /// The machine that boots `kernel`.
    #[must_use]
    pub fn target(&self, kernel: &Kernel, boot: Boot) -> Box<dyn Target> {
        Box::new(self.qemu(kernel, boot))
    }

    /// Boots a kernel into a shell on the user's terminal and waits until the user leaves it.
    /// Messages of the agent are passed to `said`.
    ///
    /// # Errors
    ///
    /// Returns an error if the machine fails.
    pub fn shell(
        &self,
        kernel: &Kernel,
        load: &Load,
        shell: Vec<u8>,
        said: impl Fn(Message) + Send + 'static,
    ) -> Result<End, TargetError> {
        self.qemu(kernel, load.lane.boot).shell(load, shell, said)
    }

    fn qemu(&self, kernel: &Kernel, boot: Boot) -> Qemu {
        Qemu {
            program: self.setup.program.clone(),
            version: self.version.clone(),
            accel: self.accel.get().copied().unwrap_or(Accel::Tcg),
            kernel: kernel.clone(),
            boot,
            append: self.setup.append.clone(),
        }
    }
}
