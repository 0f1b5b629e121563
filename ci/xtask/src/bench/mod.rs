//! `cargo xtask bench`: what perfsec costs, beside what its user would wait for without it.

mod build;
mod record;
mod run;

use std::path::PathBuf;

use xshell::Shell;

use crate::error::Error;

/// Options of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kernel, named as for `perfsec run --kernel` [default: the newest stock kernel of this
    /// host's suite].
    #[arg(long, value_name = "KERNEL")]
    kernel: Option<String>,
    /// Acceleration, `tcg` or `kvm` [default: what perfsec finds].
    #[arg(long, value_name = "ACCEL")]
    accel: Option<String>,
    /// How often each command is run.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u32,
    /// Measure instead what builds of this kernel tree, and a verdict on a patch, cost beside `make`
    /// alone. The tree is in git; it is cloned, and not written to.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kernel", "accel", "runs"])]
    tree: Option<PathBuf>,
}

/// Measures and prints a table.
pub(crate) fn bench(shell: &Shell, options: &Options) -> Result<(), Error> {
    match &options.tree {
        Some(tree) => build::bench(shell, tree),
        None => run::bench(shell, options),
    }
}
