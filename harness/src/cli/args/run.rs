//! Options of `run` and `shell`.

use std::path::PathBuf;

use clap::Args;

use super::super::codes::ExitCodes;
use super::heading::{BOOTING, CELLS, REPORT, VERDICTS};
use super::{CaseArgs, FilterArgs, MachineArgs, SystemArgs};
use crate::machines::MachineName;
use crate::plan::Shard;
use crate::policy;
use crate::report::{Format, FormatOptions};

/// Options that conflict with `--resume` and `--failed`, which repeat those of the earlier run.
const CHOICES: [&str; 20] = [
    "names",
    "grant",
    "mode",
    "domain",
    "cases",
    "list",
    "repeat",
    "shuffle",
    "shard",
    "known",
    "kernel",
    "distribution",
    "kernel_config",
    "policy",
    "guest",
    "on",
    "add_module",
    "append",
    "config",
    "make",
];

/// Options on virtual machines, which no `--machine` is.
const VIRTUAL: [&str; 7] = ["guest", "accel", "qemu", "jobs", "cold", "dump_memory", "gdb"];

/// Options on kernels that are obtained and started, and on the policy that they load. A
/// `--machine` that runs a kernel already needs none.
pub(in crate::cli) const STARTING_A_KERNEL: [&str; 14] = [
    "kernel",
    "dirty",
    "refresh",
    "distribution",
    "policy",
    "module",
    "boolean",
    "dontaudit",
    "append",
    "program",
    "config",
    "no_default_config",
    "make",
    "build_jobs",
];

/// Options of `run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("run"))]
pub struct RunArgs {
    /// The cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Run the cases in this domain of the policy, a whole context such as
    /// `user_u:user_r:user_t:s0`, instead of the domains of perfsec's own policies. What is
    /// expected follows from the policy's answers. Can be given several times [default with --guest,
    /// and on a machine that runs its own kernel: that of a login user,
    /// `user_u:user_r:user_t:s0`].
    #[arg(long, value_name = "CONTEXT", value_parser = context, help_heading = CELLS)]
    pub domain: Vec<String>,
    /// List the cells and run nothing.
    #[arg(long)]
    pub list: bool,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Run each cell this many times. Nothing that the kernel caches carries over.
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        value_parser = clap::value_parser!(u16).range(1..),
        help_heading = CELLS
    )]
    pub repeat: u16,
    /// Run the cells in an order that depends on this number alone. Controls still precede the
    /// cells that need them, and a raised lockdown still comes last.
    #[arg(long, value_name = "SEED", help_heading = CELLS)]
    pub shuffle: Option<u64>,
    /// Run only this part of the cells, such as `1/3`: the first of three. A case stays in its
    /// part when others are added. `perfsec merge` joins the records.
    #[arg(long, value_name = "I/N", help_heading = CELLS)]
    pub shard: Option<Shard>,
    /// Wait for gdb before the kernel boots, and print the command that attaches it and stops at
    /// this step of the cell, counted from 1 as `perfsec show` prints them, right before its
    /// syscall. The filters must select one cell; nothing has a time limit.
    #[arg(
        long,
        value_name = "STEP",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with_all = ["repeat", "shuffle", "shard", "jobs", "retries", "resume", "failed"],
        help_heading = BOOTING
    )]
    pub gdb: Option<u16>,
    /// Complete an interrupted or killed run: repeat its command, in the same directory, for the
    /// cells that have no result. The new record has all results.
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = CHOICES,
        conflicts_with = "failed",
        help_heading = CELLS
    )]
    pub resume: Option<PathBuf>,
    /// Repeat the command of a run for the cells that did not pass, and their controls. The new
    /// record has all results.
    #[arg(long, value_name = "RUN", conflicts_with_all = CHOICES, help_heading = CELLS)]
    pub failed: Option<PathBuf>,
    /// The kernels.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The guest system.
    #[command(flatten)]
    pub system: SystemArgs,
    /// Run the cells on a real machine. On `here`, this one, or on `ssh:HOST`, one that ssh reaches:
    /// as root, on the kernel that it runs and under the policy that it has loaded, beside
    /// everything else; what they change is put back. On NAME, a machine of
    /// ~/.config/perfsec/machines.toml: on a kernel that perfsec starts there, as in QEMU; the
    /// machine's own system comes back afterwards.
    #[arg(
        long = "machine",
        value_name = "MACHINE",
        conflicts_with_all = VIRTUAL,
        help_heading = BOOTING
    )]
    pub on: Option<MachineName>,
    /// With `--machine here`, add the domains of perfsec's policies to the policy that the machine
    /// has loaded, so that cells run in these. Its module store is not changed, and the policy is
    /// loaded again at the end as it was.
    #[arg(long, requires = "on", conflicts_with = "domain", help_heading = BOOTING)]
    pub add_module: bool,
    /// Compare with the record of an earlier run: fail only for what got worse since.
    #[arg(long, value_name = "RUN", help_heading = VERDICTS)]
    pub baseline: Option<PathBuf>,
    /// Add a file of known differences to the built-in ones; cases/known.toml shows the format.
    /// Can be given several times.
    #[arg(long, value_name = "FILE", help_heading = VERDICTS)]
    pub known: Vec<PathBuf>,
    /// Fail if a known difference is gone (XPASS).
    #[arg(long, help_heading = VERDICTS)]
    pub strict: bool,
    /// Write a report in this format. The first `--format` goes to the first `--out`, the second
    /// to the second, and so on. One alone, without `--out`, is printed in place of the summary.
    #[arg(long, value_name = "FORMAT", help_heading = REPORT)]
    pub format: Vec<Format>,
    /// Write the report to this file; without `--format`, the run record.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Vec<PathBuf>,
    /// The names in reports.
    #[command(flatten)]
    pub options: FormatOptions,
}

/// Options of `shell`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("shell"))]
pub struct ShellArgs {
    /// The kernel.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The guest system.
    #[command(flatten)]
    pub system: SystemArgs,
}

/// A whole context.
pub(super) fn context(text: &str) -> Result<String, String> {
    let words = "give a whole context, USER:ROLE:TYPE and, if the policy has levels, :RANGE";
    policy::is_context(text).then(|| text.to_owned()).ok_or_else(|| words.to_owned())
}
