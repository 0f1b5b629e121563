//! Options of the commands for people who write cases: `show`, `steps`, `new`, `check`, `bless`,
//! `coverage` and `selfcheck`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::codes::ExitCodes;
use super::heading::{BOOTING, CELLS, KERNELS, REPORT};
use super::{CaseArgs, FilterArgs, MachineArgs};
use crate::plan::Shard;

/// Options of `show`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("show"))]
pub struct ShowArgs {
    /// The cells; a case's name selects all of its cells. Without --all-cells, only the cell with
    /// the longest transcript of each case is shown.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Show what is expected of this version of an upstream kernel (`6.12.40`) or of a stock
    /// kernel of Debian (`debian:6.12.40`). `6.12` is the newest of its series [default: the
    /// newest upstream kernel].
    #[arg(long, value_name = "VERSION", help_heading = KERNELS)]
    pub kernel: Option<String>,
    /// Show what is expected under this policy of perfsec, by name [default: the case's own, or
    /// `minimal`].
    #[arg(long, value_name = "NAME", help_heading = BOOTING)]
    pub policy: Option<String>,
    /// Show every selected cell.
    #[arg(long, help_heading = CELLS)]
    pub all_cells: bool,
    /// Show what every selected cell must see on every kernel that a condition distinguishes.
    #[arg(long, help_heading = KERNELS, conflicts_with_all = ["kernel", "policy", "all_cells"])]
    pub all_kernels: bool,
}

/// Options of `reproduce`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("reproduce"))]
pub struct ReproduceArgs {
    /// The cell.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Expect what this version of an upstream kernel (`6.12.40`) or of a stock kernel of Debian
    /// (`debian:6.12.40`) must do. `6.12` is the newest of its series [default: the newest upstream
    /// kernel].
    #[arg(long, value_name = "VERSION", help_heading = KERNELS)]
    pub kernel: Option<String>,
    /// Write the program to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
    /// Write a program for each selected cell into this directory, and count the cells that have
    /// none by the reason.
    #[arg(long, value_name = "DIR", help_heading = REPORT, conflicts_with = "out")]
    pub directory: Option<PathBuf>,
    /// Also write the source of perfsec's policy `minimal`, for a machine without a policy.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub policy_out: Option<PathBuf>,
}

/// Options of `steps`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("steps"))]
pub struct StepsArgs {
    /// Describe only these steps, named by their syscall; `attr` is `struct perf_event_attr`
    /// [default: all].
    #[arg(value_name = "STEP")]
    pub names: Vec<String>,
}

/// Options of `bless`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("bless"))]
pub struct BlessArgs {
    /// The cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Write to files that have uncommitted changes too.
    #[arg(long)]
    pub overwrite: bool,
    /// The directory of the case files to write to.
    #[arg(long, value_name = "DIR", default_value = "cases/suite", help_heading = CELLS)]
    pub cases: PathBuf,
    /// The kernel.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `coverage`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("coverage"))]
pub struct CoverageArgs {
    /// The cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// List the decision points that perfsec knows, and run nothing.
    #[arg(long)]
    pub list: bool,
    /// Also name the decision points of this kernel source tree, and those unknown to perfsec.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Show the coverage in this record of an earlier `perfsec coverage`, and run nothing.
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = ["names", "grant", "mode", "kernel", "out"]
    )]
    pub from: Option<PathBuf>,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The kernels.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Also write the run record to this file.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// Options of mutants that are derived from the source.
#[derive(Clone, Debug, Args)]
pub struct MutantArgs {
    /// Derive mutations from the source of the tree instead: mutants, by the functions and
    /// operators that `--list` shows. MUTATION is a glob on their names, or a beginning.
    #[arg(long, conflicts_with = "mutations")]
    pub generate: bool,
    /// Record the outcomes in this new file.
    #[arg(long, value_name = "FILE", requires = "generate")]
    pub out: Option<PathBuf>,
    /// Add to this record. Mutants that it has for the same tree and suite are not tried again.
    #[arg(long, value_name = "FILE", requires = "generate", conflicts_with = "out")]
    pub resume: Option<PathBuf>,
    /// Print the score of this record, and try nothing.
    #[arg(
        long,
        value_name = "FILE",
        requires = "generate",
        conflicts_with_all = ["names", "list", "out", "resume", "shard", "scope"]
    )]
    pub report: Option<PathBuf>,
    /// Try only this part of the mutants, such as `1/3`: the first of three. Concatenated records
    /// are a record.
    #[arg(long, value_name = "I/N", requires = "generate")]
    pub shard: Option<Shard>,
    /// Mutate the code that this file lists instead of the built-in `cases/mutants.toml`.
    #[arg(long, value_name = "FILE", requires = "generate")]
    pub scope: Option<PathBuf>,
    /// Run the suite without a mutant even if an earlier campaign did.
    #[arg(long, requires = "generate")]
    pub again: bool,
    /// Excuse the survivors that this file lists instead of the built-in `cases/survivors.toml`.
    #[arg(long, value_name = "FILE", requires = "generate")]
    pub survivors: Option<PathBuf>,
}

/// Options of `selfcheck`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("selfcheck"))]
pub struct SelfcheckArgs {
    /// Try only the mutations whose names begin with this.
    #[arg(value_name = "MUTATION")]
    pub names: Vec<String>,
    /// Use the patches in this directory instead of the built-in ones.
    #[arg(long, value_name = "DIR")]
    pub mutations: Option<PathBuf>,
    /// List the mutations, and build nothing.
    #[arg(long)]
    pub list: bool,
    /// Show how a cell noticed each mutation.
    #[arg(short, long)]
    pub verbose: bool,
    /// Options of mutants.
    #[command(flatten)]
    pub mutants: MutantArgs,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Options of builds and machines; the one `--kernel` is a `tree:` [default: Debian's
    /// source of the kernel that `run` uses].
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `new`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("new"))]
pub struct NewArgs {
    /// The case's name, AREA/NAME; its file is AREA/NAME.toml in the directory of the cases.
    #[arg(value_name = "CASE")]
    pub name: String,
    /// The directory of the cases.
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = CELLS)]
    pub cases: PathBuf,
}

/// Options of `check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("check"))]
pub struct CheckArgs {
    /// The directory of the cases.
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// The format of the mistakes.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: CheckFormat,
}

/// The format of the mistakes in cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people: each with the line that it is in.
    Text,
    /// A list of JSON objects with `path`, `line` and `column` from 1, `message` and, where there is
    /// one, `help`.
    Json,
}
