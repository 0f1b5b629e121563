//! Options of `bisect`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::super::exit;
use super::{BootArgs, CaseArgs, FilterArgs, MailArgs};
use crate::report::mail::Mailbox;

/// Options of `bisect`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = exit::BISECT,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
pub struct BisectArgs {
    /// What else to do than to drive `git bisect`.
    #[command(subcommand)]
    pub command: Option<BisectCommand>,
    /// Which cells; once the ends are proved, only those of them that differ run.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The older end: a revision at which the cells see what they should, or saw before.
    #[arg(long, value_name = "REV", required = true)]
    pub good: Option<String>,
    /// The newer end: a revision at which they see something else.
    #[arg(long, value_name = "REV", required = true)]
    pub bad: Option<String>,
    /// The kernel tree: a git repository with both ends. Nothing is written into it.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub tree: PathBuf,
    /// Known differences besides those that perfsec brings.
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,
    /// The form of the report.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: BisectFormat,
    /// Write the report here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Who writes a mail, `NAME <ADDRESS>` [default: git's user.name and user.email].
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<Mailbox>,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How.
    #[command(flatten)]
    pub boot: BootArgs,
    /// The report of the regression; what introduced it is told to the tracking bot.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// What `bisect` can do besides driving `git bisect`.
#[derive(Clone, Debug, Subcommand)]
pub enum BisectCommand {
    /// Judge the tree as it is, for your own `git bisect run perfsec bisect step CELL`.
    Step(StepArgs),
}

/// Options of `bisect step`.
#[derive(Clone, Debug, Args)]
#[command(after_help = exit::BISECT_STEP)]
pub struct StepArgs {
    /// Which cells [default: those that the baseline was asked for, or all].
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The record of a run on a good kernel: what cells must see [default: what the cases promise].
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<PathBuf>,
    /// The kernel tree, which is built with uncommitted changes of tracked files, and without untracked ones;
    /// after `git bisect start --no-checkout`, its BISECT_HEAD.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub tree: PathBuf,
    /// Known differences besides those that perfsec brings.
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// A form of the report on a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BisectFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}
