//! From options to lanes: kernels obtained, policies compiled, acceleration probed.

use std::sync::Arc;

use perfsec_qemu::Accel;
use perfsec_wire::Boot;

use super::Failure;
use super::args::MachineArgs;
use crate::cache::Cache;
use crate::kernel::{self, Kernel};
use crate::known::KnownDifferences;
use crate::plan::{self, PlannedCell};
use crate::policy::{Policies, Policy};
use crate::run::LanePlan;
use crate::target::qemu::Qemu;

/// Everything that a booted machine needs, before any is booted.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) kernels: Vec<Kernel>,
    pub(super) policies: Vec<Arc<Policy>>,
    qemu: Qemu,
}

/// Obtains what the options name; `say` tells the user what takes time.
pub(super) fn prepare(
    args: &MachineArgs,
    cache: &Cache,
    say: &dyn Fn(&str),
) -> Result<Ready, Failure> {
    let version = Qemu::version(&args.qemu)?;
    let policies: Vec<_> = args
        .policy
        .iter()
        .map(|name| Policy::obtain(name, cache).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let specs = match args.kernel.as_slice() {
        [] => vec![kernel::default_spec()?],
        given => given.to_vec(),
    };
    let options =
        if args.refresh { kernel::Options::refreshing() } else { kernel::Options::default() };
    let mut kernels: Vec<_> = specs
        .iter()
        .map(|spec| kernel::obtain(spec, cache, options, say))
        .collect::<Result<_, _>>()?;
    if let Some(name) = &args.distribution {
        kernels.iter_mut().for_each(|kernel| kernel.distribution = Some(name.clone()));
    }
    let accel = match (args.accel, kernels.first()) {
        (Some(accel), _) => accel,
        (None, Some(kernel)) => Qemu::probe(&args.qemu, kernel, cache, say)?,
        (None, None) => Accel::Tcg,
    };
    let Some(kernel) = kernels.first().cloned() else {
        return Err(Failure::input("no kernel"));
    };
    let (program, append) = (args.qemu.clone(), args.append.clone());
    let qemu = Qemu { program, version, accel, kernel, boot: Boot::default(), append };
    Ok(Ready { kernels, policies, qemu })
}

impl Ready {
    /// The QEMU that boots `kernel`.
    pub(super) fn target(&self, kernel: &Kernel, boot: Boot) -> Qemu {
        Qemu { kernel: kernel.clone(), boot, ..self.qemu.clone() }
    }

    /// Every kernel under every policy, with the same cells: one lane for each way to boot that they need.
    ///
    /// # Errors
    ///
    /// When a policy that a cell names cannot be had.
    pub(super) fn lanes(
        &self,
        cells: &[PlannedCell],
        known: &Arc<KnownDifferences>,
        cache: &Cache,
    ) -> Result<Vec<LanePlan>, Failure> {
        let mut lanes = Vec::new();
        let boots: Vec<_> =
            plan::by_boot(cells).into_iter().map(|(boot, cells)| (boot, Arc::new(cells))).collect();
        for kernel in &self.kernels {
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
