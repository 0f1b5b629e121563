//! From options to lanes: kernels obtained, policies compiled, acceleration probed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use perfsec_qemu::{Accel, accel};

use super::Failure;
use super::args::MachineArgs;
use crate::cache::Cache;
use crate::kernel::{self, Kernel};
use crate::plan::PlannedCell;
use crate::policy::Policy;
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
    let version = qemu_version(&args.qemu)?;
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
        (None, Some(kernel)) => probe(&args.qemu, kernel, cache, say)?,
        (None, None) => Accel::Tcg,
    };
    let Some(kernel) = kernels.first().cloned() else {
        return Err(Failure::input("no kernel"));
    };
    let qemu =
        Qemu { program: args.qemu.clone(), version, accel, kernel, append: args.append.clone() };
    Ok(Ready { kernels, policies, qemu })
}

impl Ready {
    /// The QEMU that boots `kernel`.
    pub(super) fn target(&self, kernel: &Kernel) -> Qemu {
        Qemu { kernel: kernel.clone(), ..self.qemu.clone() }
    }

    /// Every kernel under every policy, with the same cells.
    pub(super) fn lanes(&self, cells: Vec<PlannedCell>) -> Vec<LanePlan> {
        let cells = Arc::new(cells);
        let pairs = self
            .kernels
            .iter()
            .flat_map(|kernel| self.policies.iter().map(move |policy| (kernel, policy)));
        pairs
            .enumerate()
            .map(|(lane, (kernel, policy))| LanePlan {
                lane,
                kernel: kernel.clone(),
                policy: Arc::clone(policy),
                cells: Arc::clone(&cells),
                target: Box::new(self.target(kernel)),
            })
            .collect()
    }
}

fn probe(
    qemu: &Path,
    kernel: &Kernel,
    cache: &Cache,
    say: &dyn Fn(&str),
) -> Result<Accel, Failure> {
    let memory = cache.directory("accel", "")?.join("probe");
    let probe = accel::probe_cached(qemu, &kernel.image, &memory, accel::TIME_LIMIT)?;
    if probe.accel == Accel::Tcg {
        say(&format!("emulating: {}", probe.why));
    }
    Ok(probe.accel)
}

fn qemu_version(program: &Path) -> Result<String, Failure> {
    let output = Command::new(program).arg("--version").output().map_err(|error| {
        Failure::host(format!(
            "cannot run {}: {error}; `perfsec doctor` says how to install it",
            program.display()
        ))
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().filter(|_| output.status.success()).map(str::to_owned).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Failure::host(format!("{} does not run: {}", program.display(), said.trim()))
    })
}
