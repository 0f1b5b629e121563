//! From options to lanes: kernels obtained, policies compiled, acceleration probed.

use std::path::PathBuf;
use std::sync::Arc;

use perfsec_qemu::Accel;
use perfsec_wire::Boot;

use super::Failure;
use super::args::{BootArgs, MachineArgs};
use crate::cache::Cache;
use crate::engine::LanePlan;
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::machines::qemu::Qemu;
use crate::obtain;
use crate::plan::{self, PlannedCell};
use crate::policy::{Policies, Policy};

/// What boots kernels, whichever they are.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) policies: Vec<Arc<Policy>>,
    distribution: Option<String>,
    program: PathBuf,
    pub(super) version: String,
    /// None until it was tried with a kernel.
    accel: Option<Accel>,
    append: Vec<String>,
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
    let mut machine = Machine::prepare(&args.boot, cache)?;
    let specs = match args.kernel.as_slice() {
        [] => vec![obtain::default_spec()?],
        given => given.to_vec(),
    };
    let options = args.obtain.options(&args.boot.build, interrupt)?;
    let kernels = specs.iter().map(|spec| obtain::obtain(spec, cache, &options, say));
    let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
    let kernels: Vec<_> = kernels.into_iter().map(|kernel| machine.of_host(kernel)).collect();
    let first = kernels.first().ok_or_else(|| Failure::input("no kernel"))?;
    machine.accelerate(first, cache, say)?;
    Ok(Ready { kernels, machine })
}

impl Machine {
    /// Compiles the policies, and looks for QEMU.
    pub(super) fn prepare(args: &BootArgs, cache: &Cache) -> Result<Self, Failure> {
        let version = Qemu::version(&args.qemu)?;
        let policies = args.policy.iter().map(|name| Policy::obtain(name, cache).map(Arc::new));
        Ok(Self {
            policies: policies.collect::<Result<_, _>>()?,
            distribution: args.distribution.clone(),
            program: args.qemu.clone(),
            version,
            accel: args.accel,
            append: args.append.clone(),
        })
    }

    /// The kernel with what the user says of it.
    pub(super) fn of_host(&self, kernel: Kernel) -> Kernel {
        Kernel { distribution: self.distribution.clone().or(kernel.distribution), ..kernel }
    }

    /// Finds out with this kernel what accelerates guests, unless that is known.
    pub(super) fn accelerate(
        &mut self,
        kernel: &Kernel,
        cache: &Cache,
        say: &dyn Fn(&str),
    ) -> Result<(), Failure> {
        if self.accel.is_none() {
            self.accel = Some(Qemu::probe(&self.program, kernel, cache, say)?);
        }
        Ok(())
    }

    /// The QEMU that boots `kernel`.
    pub(super) fn target(&self, kernel: &Kernel, boot: Boot) -> Qemu {
        Qemu {
            program: self.program.clone(),
            version: self.version.clone(),
            accel: self.accel.unwrap_or(Accel::Tcg),
            kernel: kernel.clone(),
            boot,
            append: self.append.clone(),
        }
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
        let boots: Vec<_> = plan::group_by_boot(cells)
            .into_iter()
            .map(|(boot, cells)| (boot, Arc::new(cells)))
            .collect();
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
                        target: Box::new(self.target(kernel, *boot)),
                        coverage: None,
                    });
                }
            }
        }
        Ok(lanes)
    }
}
