//! From options to lanes: kernels obtained, policies compiled, acceleration probed.

use std::sync::Arc;

use super::Failure;
use super::args::{BootArgs, MachineArgs};
use crate::cache::Cache;
use crate::engine::LanePlan;
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::machines::Pool;
use crate::machines::qemu::{QemuOptions, QemuPool};
use crate::obtain;
use crate::plan::{self, PlannedCell};
use crate::policy::{Policies, Policy};

/// What boots kernels, whichever they are.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) policies: Vec<Arc<Policy>>,
    distribution: Option<String>,
    /// The machines.
    pub(super) pool: Arc<dyn Pool>,
}

/// Everything that a booted machine needs, before any is booted.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) kernels: Vec<Kernel>,
    pub(super) machine: Machine,
}

/// Obtains what the options name; `say` tells the user what takes time.
pub(super) fn prepare(
    args: &MachineArgs,
    cache: &Cache,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Ready, Failure> {
    let machine = Machine::prepare(&args.boot, cache)?;
    let specs = match args.kernel.as_slice() {
        [] => vec![obtain::default_spec()?],
        given => given.to_vec(),
    };
    let options = args.obtain.options(&args.boot.build, interrupt)?;
    let kernels = specs.iter().map(|spec| obtain::obtain(spec, cache, &options, say));
    let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
    let kernels: Vec<_> = kernels.into_iter().map(|kernel| machine.of_host(kernel)).collect();
    let first = kernels.first().ok_or_else(|| Failure::input("no kernel"))?;
    machine.pool.prepare(first, say)?;
    Ok(Ready { kernels, machine })
}

impl Machine {
    /// Compiles the policies, and looks for QEMU.
    pub(super) fn prepare(args: &BootArgs, cache: &Cache) -> Result<Self, Failure> {
        let options = QemuOptions {
            program: args.qemu.clone(),
            accel: args.accel,
            append: args.append.clone(),
        };
        let pool = Arc::new(QemuPool::open(options, cache)?);
        let policies = args.policy.iter().map(|name| Policy::obtain(name, cache).map(Arc::new));
        Ok(Self {
            policies: policies.collect::<Result<_, _>>()?,
            distribution: args.distribution.clone(),
            pool,
        })
    }

    /// The kernel with what the user says of it.
    pub(super) fn of_host(&self, kernel: Kernel) -> Kernel {
        Kernel { distribution: self.distribution.clone().or(kernel.distribution), ..kernel }
    }

    /// Every kernel under every policy, with the same cells: one lane for each way to boot that they need.
    ///
    /// # Errors
    ///
    /// When a policy that a cell names cannot be had.
    pub(super) fn lanes(
        &self,
        kernels: &[Kernel],
        cells: &[PlannedCell],
        known: &Arc<KnownDifferences>,
        cache: &Cache,
    ) -> Result<Vec<LanePlan>, Failure> {
        let mut lanes = Vec::new();
        let boots: Vec<_> =
            plan::by_boot(cells).into_iter().map(|(boot, cells)| (boot, Arc::new(cells))).collect();
        for kernel in kernels {
            for policy in &self.policies {
                for (boot, cells) in &boots {
                    let names = cells.iter().flat_map(PlannedCell::policies);
                    lanes.push(LanePlan {
                        lane: lanes.len(),
                        kernel: kernel.clone(),
                        boot: *boot,
                        policies: Policies::obtain(Arc::clone(policy), names, cache)?,
                        cells: Arc::clone(cells),
                        known: Arc::clone(known),
                        pool: Arc::clone(&self.pool),
                        coverage: None,
                    });
                }
            }
        }
        Ok(lanes)
    }
}
