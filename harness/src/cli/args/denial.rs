//! Options of the commands about denials: `explain` and `allow`.

use std::path::PathBuf;

use clap::Args;

use super::super::codes::ExitCodes;
use super::heading::{KERNELS, REPORT};
use super::{CaseArgs, FilterArgs, MachineArgs};

/// Options of `explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("explain"))]
pub struct ExplainArgs {
    /// Logs in any form that `perfsec help explain` lists, or a tool's messages: files whose path
    /// begins with `/` or `.`, and `-` for standard input; or a record or message; a cell; or a
    /// sentence: "perf stat -a as user with cap_perfmon, paranoid 2". `perfsec why` answers for a
    /// command [default: `-`].
    #[arg(value_name = "WHAT", allow_hyphen_values = true)]
    pub what: Vec<String>,
    /// The cases in which to look for a cell.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Explain what is expected of this version of an upstream kernel (`6.12.40`) or of a stock
    /// kernel of Debian (`debian:6.12.40`). `6.12` is the newest of its series [default: the
    /// newest upstream kernel].
    #[arg(long, value_name = "VERSION", help_heading = KERNELS)]
    pub kernel: Option<String>,
}

/// Options of `allow`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("allow"))]
pub struct AllowArgs {
    /// A run record, or an audit log in any form that `explain` reads (`-` for standard input).
    /// From a log, only what is about perf is allowed.
    #[arg(value_name = "RUN|AUDITLOG")]
    pub from: PathBuf,
    /// The cells of the run; their controls are not added.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Allow only what this domain was denied. Can be given several times.
    #[arg(long, value_name = "TYPE")]
    pub domain: Vec<String>,
    /// Boot the run's kernels (or `--kernel`) with the run's policy and the module, run its cells
    /// again, and report which denials are gone and whether anything else changed.
    #[arg(long)]
    pub verify: bool,
    /// The cases of the run.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The machines of `--verify`; `--policy` selects one of the run's policies.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Write a `.te` for `checkmodule` instead of CIL; implied if `--out` ends in `.te`.
    #[arg(long, help_heading = REPORT)]
    pub te: bool,
    /// Write the module to this file instead of standard output, and name it after the file.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}
