//! Options of `bisect`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::super::codes::ExitCodes;
use super::heading::{KERNELS, REPORT, VERDICTS};
use super::{BootArgs, CaseArgs, FilterArgs, MailArgs};
use crate::kbuild::TreeSpec;
use crate::mbox::Mailbox;

/// Options of `bisect`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = ExitCodes::help("bisect"),
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct BisectArgs {
    /// The subcommand; without one, perfsec drives `git bisect`.
    #[command(subcommand)]
    pub command: Option<BisectCommand>,
    /// The older end: a revision at which the cells see what they should, or saw before.
    #[arg(long, value_name = "REV", required = true, help_heading = KERNELS)]
    pub good: Option<String>,
    /// The newer end: a revision at which they see something else.
    #[arg(long, value_name = "REV", required = true, help_heading = KERNELS)]
    pub bad: Option<String>,
    /// The kernel tree: a git repository with both ends. perfsec does not write to it.
    #[arg(long, value_name = "PATH", default_value = ".", help_heading = KERNELS)]
    pub tree: PathBuf,
    /// The cells, the machines and the report.
    #[command(flatten)]
    pub search: SearchArgs,
    /// The author of the mail, `NAME <ADDRESS>` [default: git's user.name and user.email].
    #[arg(long, value_name = "ADDRESS", help_heading = REPORT)]
    pub from: Option<Mailbox>,
    /// The report of the regression; it tells the tracking bot which commit introduced it.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// Options of both searches.
#[derive(Clone, Debug, Args)]
pub struct SearchArgs {
    /// The cells; once the ends have run, only those that differ run.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Add a file of known differences to the built-in ones. Can be given several times.
    #[arg(long, value_name = "FILE", help_heading = VERDICTS)]
    pub known: Vec<PathBuf>,
    /// How the kernels are built and booted.
    #[command(flatten)]
    pub boot: BootArgs,
    /// The report.
    #[command(flatten)]
    pub report: BisectReportArgs,
}

/// Subcommands of `bisect`.
#[derive(Clone, Debug, Subcommand)]
pub enum BisectCommand {
    /// Find the configuration option that changed cells, between two configurations of one commit.
    Config(ConfigArgs),
    /// Judge the checked-out tree, for your own `git bisect run perfsec bisect step CELL`.
    Step(StepArgs),
}

/// Options of `bisect step`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("bisect step"))]
pub struct StepArgs {
    /// The cells [default: those of the baseline, or all].
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The kernel tree. It is built with uncommitted changes of tracked files and without
    /// untracked files; after `git bisect start --no-checkout`, its BISECT_HEAD is built.
    #[arg(long, value_name = "PATH", default_value = ".", help_heading = KERNELS)]
    pub tree: PathBuf,
    /// The record of a run on a good kernel: cells must see what they saw there [default: what the
    /// cases expect].
    #[arg(long, value_name = "RUN", help_heading = VERDICTS)]
    pub baseline: Option<PathBuf>,
    /// Add a file of known differences to the built-in ones. Can be given several times.
    #[arg(long, value_name = "FILE", help_heading = VERDICTS)]
    pub known: Vec<PathBuf>,
    /// How the kernel is built and booted.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// Options of `bisect config`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("bisect config"))]
pub struct ConfigArgs {
    /// The `.config` with which the cells see what they should, or saw before. Fragments that are
    /// given with `--config` are merged over both; perfsec's own are not.
    #[arg(long, value_name = "FILE", help_heading = KERNELS)]
    pub good: PathBuf,
    /// The `.config` with which they see something else.
    #[arg(long, value_name = "FILE", help_heading = KERNELS)]
    pub bad: PathBuf,
    /// The kernel tree: a git repository, or `debian:SUITE`, and a revision [default of the
    /// revision: HEAD].
    #[arg(long, value_name = "PATH[@REVISION]", default_value = ".", help_heading = KERNELS)]
    pub tree: TreeSpec,
    /// The cells, the machines and the report.
    #[command(flatten)]
    pub search: SearchArgs,
}

/// Options of the report on a bisection.
#[derive(Clone, Debug, Args)]
pub struct BisectReportArgs {
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: BisectFormat,
    /// Write the report to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// The format of the report on a bisection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BisectFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}
