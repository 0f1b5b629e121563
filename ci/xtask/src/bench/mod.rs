//! `cargo xtask bench`: measures the time that perfsec adds to a boot or a build.

mod build;
mod policy;
mod record;
mod run;
mod stock;
mod times;

use std::path::PathBuf;

use xshell::{Shell, cmd};

use crate::error::{self, Error};

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernel, as for `perfsec run --kernel` [default: the newest stock kernel of the host's
    /// distribution].
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Accelerator, `tcg` or `kvm` [default: the one perfsec chooses].
    #[arg(long, value_name = "ACCEL")]
    accel: Option<String>,
    /// Number of runs of each command.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u32,
    /// Measure builds of this kernel tree and the time from a patch to a verdict instead, and
    /// compare with `make` alone. The tree must be in git; it is cloned and not modified.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kernel", "accel", "runs"])]
    tree: Option<PathBuf>,
    /// Measure runs and the survey under this policy instead, and compare with the minimal policy.
    #[arg(long, value_name = "POLICY", requires = "domain", conflicts_with = "tree")]
    policy: Option<String>,
    /// The context in which the cell runs under `--policy`.
    #[arg(long, value_name = "CONTEXT", requires = "policy")]
    domain: Option<String>,
    /// Measure perfsec's own work per cell instead: play the record of a run back at once.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["kernel", "accel", "runs", "tree", "policy"])]
    host: Option<PathBuf>,
}

/// Measures and prints a table.
pub(crate) fn bench(shell: &Shell, options: &Options) -> Result<(), Error> {
    if let Some(record) = &options.host {
        let record = std::path::absolute(record).unwrap_or_else(|_| record.clone());
        return error::run(cmd!(
            shell,
            "cargo bench --quiet --package perfsec --bench host -- {record}"
        ));
    }
    match (&options.tree, options.policy.as_deref().zip(options.domain.as_deref())) {
        (Some(tree), _) => build::bench(shell, tree),
        (None, Some(under)) => policy::bench(shell, options, under),
        (None, None) => run::bench(shell, options),
    }
}
