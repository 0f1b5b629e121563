//! Plain values that say how kernels are obtained, booted and run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::Limits;
use crate::foreign;
use crate::guest::GuestImage;
use crate::kbuild::Recipe;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel;
use crate::machines::qemu::{GUEST_SYSTEM_MIB, QemuOptions};
use crate::machines::{MachineSetup, Pool};
use crate::policy::{PolicyRequest, PolicySource};

/// The way in which an [`Engine`](super::Engine) obtains, boots and runs kernels.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Policies. Every kernel runs under each of them.
    pub policies: Vec<PolicyRequest>,
    /// The distribution whose patches the kernels carry, if their banner does not name it.
    pub distribution: Option<String>,
    /// The `.config` of the kernels whose configuration is unknown.
    pub kernel_config: Option<PathBuf>,
    /// Number of guests that run at the same time.
    pub jobs: usize,
    /// True to boot every guest: none is restored from a snapshot, and none is saved.
    pub cold: bool,
    /// How often a cell that fails is repeated.
    pub retries: usize,
    /// How long a guest may be silent.
    pub limits: Limits,
    /// The machines that boot kernels.
    pub machine: MachineSetup,
    /// How kernels are looked up and built.
    pub obtain: ObtainSetup,
}

/// How kernels are looked up and built.
#[derive(Clone, Debug)]
pub struct ObtainSetup {
    /// How existing kernels are looked up.
    pub images: kernel::ImageOptions,
    /// How trees are built.
    pub recipe: Recipe,
    /// True to build a tree with its uncommitted changes.
    pub dirty: bool,
}

impl Setup {
    /// The same with a guest system, which brings its policy.
    #[must_use]
    pub fn with_guest(self, image: GuestImage) -> Self {
        let source = PolicySource::Guest { system: image.name.clone(), path: image.policy.clone() };
        let room =
            available_memory().map_or(usize::MAX, |mib| mib / (2 * GUEST_SYSTEM_MIB as usize));
        let policies = vec![PolicyRequest::unchanged(source)];
        let jobs = self.jobs.min(room).max(1);
        Self { policies, jobs, ..self }.with_qemu(|options| options.guest = Some(image))
    }

    /// The same with guests that gdb attaches to at this socket, one at a time: they are booted,
    /// and may be as slow as their user.
    #[must_use]
    pub fn with_debugger(self, socket: PathBuf) -> Self {
        Self { jobs: 1, cold: true, retries: 0, limits: Limits::unlimited(), ..self }
            .with_qemu(|options| options.gdb = Some(socket))
    }

    /// Changes the options of QEMU, if its machines boot the kernels.
    fn with_qemu(mut self, change: impl FnOnce(&mut QemuOptions)) -> Self {
        if let MachineSetup::Qemu(options) = &mut self.machine {
            change(options);
        }
        self
    }

    /// The same on a machine that runs already, under a policy that its kernel has loaded.
    #[must_use]
    pub fn live(self, pool: Arc<dyn Pool>, policy: PolicySource) -> Self {
        let policies = vec![PolicyRequest::unchanged(policy)];
        Self { policies, ..self.on_one(pool) }
    }

    /// The same on the only machine of a pool, which keeps no snapshots.
    #[must_use]
    pub fn on_one(self, pool: Arc<dyn Pool>) -> Self {
        Self { jobs: 1, cold: true, machine: MachineSetup::Pool(pool), ..self }
    }

    /// The setup of a command without options.
    ///
    /// # Errors
    ///
    /// Returns an error if the default configuration fragments cannot be read.
    pub fn by_default() -> Result<Self, FragmentError> {
        Ok(Self {
            policies: vec![PolicyRequest::default()],
            distribution: None,
            kernel_config: None,
            jobs: default_jobs(),
            cold: false,
            retries: 0,
            limits: Limits::default(),
            machine: MachineSetup::default(),
            obtain: ObtainSetup::by_default()?,
        })
    }
}

impl ObtainSetup {
    /// The newest known kernels, trees without uncommitted changes, and the default configuration.
    ///
    /// # Errors
    ///
    /// Returns an error if the default configuration fragments cannot be read.
    pub fn by_default() -> Result<Self, FragmentError> {
        let recipe = Recipe::default_recipe()?;
        Ok(Self { images: kernel::ImageOptions::default(), recipe, dirty: false })
    }
}

/// One guest per CPU, as memory allows: a guest has one CPU, and neither the emulator's own threads
/// nor perfsec need much beside it.
#[must_use]
pub fn default_jobs() -> usize {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let room = available_memory().map_or(usize::MAX, |mib| mib / GUEST_MIB);
    cpus.min(room).max(1)
}

/// Memory of a guest and its emulator, in MiB.
const GUEST_MIB: usize = 768;

/// Memory that can be used without swapping, in MiB; `None` if the host does not tell.
fn available_memory() -> Option<usize> {
    let text = foreign::read_text(Path::new("/proc/meminfo"), &foreign::SYSTEM_FILE).ok()?;
    parse_available(&text)
}

fn parse_available(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_for_guests_is_what_can_be_used_without_swapping() {
        let meminfo = "MemTotal:       24535552 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(parse_available(meminfo), Some(2048));
        assert_eq!(parse_available("MemTotal: 1 kB\n"), None);
        assert!(available_memory().is_some());
    }
}
