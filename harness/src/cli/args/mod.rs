//! Options: the commands, in one file per group, and the groups of options that they share.

mod bisect;
mod cells;
mod denial;
mod guest;
mod heading;
mod host;
mod howto;
mod machine;
mod machines;
mod mail;
mod policy;
mod record;
mod run;
mod series;
mod suite;
mod survey;
mod why;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::codes::ExitCodes;
use crate::schema::FileSchema;

pub(super) use bisect::{
    BisectArgs, BisectCommand, BisectFormat, ConfigArgs, SearchArgs, StepArgs,
};
pub(super) use cells::{CaseArgs, FilterArgs};
pub(super) use denial::{AllowArgs, ExplainArgs};
pub(super) use guest::{GuestArgs, GuestBuildArgs, GuestCommand, GuestPackArgs, SystemArgs};
pub(super) use host::{
    CacheArgs, CacheClearArgs, CacheCommand, CacheVerifyArgs, DoctorArgs, KernelArgs,
    KernelBuildArgs, KernelCommand,
};
pub(super) use howto::{HowtoArgs, HowtoFormat};
pub(super) use machine::{BootArgs, BuildArgs, LimitArgs, MachineArgs, ObtainArgs, Switch};
pub(super) use machines::{MachinesArgs, MachinesCheckArgs, MachinesCommand, MachinesFormat};
pub(super) use mail::MailArgs;
pub(super) use policy::{PolicyArgs, PolicyCommand, PolicyExtendArgs};
pub(super) use record::{CompareArgs, CompareFormat, KnownArgs, MergeArgs, ReportArgs};
pub(super) use run::{RunArgs, STARTING_A_KERNEL, ShellArgs};
pub(super) use series::{B4CheckArgs, SeriesArgs, SeriesFormat};
pub(super) use suite::{
    BlessArgs, CheckArgs, CheckFormat, CoverageArgs, MutantArgs, NewArgs, ReproduceArgs,
    SelfcheckArgs, ShowArgs, StepsArgs,
};
pub(super) use survey::{SurveyArgs, SurveyFormat};
pub(super) use why::{WhyArgs, WhyFormat};

/// Who may use perf on a Linux kernel, and what does the audit log say about it?
///
/// perfsec boots a kernel in QEMU, runs small programs with chosen file capabilities in chosen
/// SELinux domains, in permissive and in enforcing mode, and compares every syscall's result, every
/// capability check and every AVC record with what the kernel's documentation and the policy
/// promise.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = super::topics::topics(),
    disable_help_subcommand = true,
    propagate_version = true
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Use colours; `auto` follows the terminal and NO_COLOR.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Ignore the defaults in `perfsec.toml` of the project and of `~/.config/perfsec`.
    #[arg(long, global = true)]
    pub no_config: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run cells on kernels and judge them.
    Run(RunArgs),
    /// Write a report of a finished run, from its record.
    Report(ReportArgs),
    /// Join the records of the shards of a run, and of runs on several kernels.
    Merge(MergeArgs),
    /// List the known differences of kernels, and which of them runs still show.
    Known(KnownArgs),
    /// Show which cells differ between kernels or runs, and how.
    Compare(CompareArgs),
    /// Tabulate who may use perf under a policy, by what, and what is logged.
    Survey(SurveyArgs),
    /// Check a patch series: which cells each patch changes compared with the one before.
    Series(SeriesArgs),
    /// Answer `b4 review` about a mail on standard input, from the series that were checked.
    B4Check(B4CheckArgs),
    /// Find the commit that changed what cells see.
    Bisect(Box<BisectArgs>),
    /// Show the steps of a case, and what each cell must see on a kernel.
    Show(ShowArgs),
    /// Write a C program that shows a cell without perfsec, for a maintainer to read and run.
    Reproduce(ReproduceArgs),
    /// Describe the steps that a case can have, with every field.
    Steps(StepsArgs),
    /// Write the file of a new case, with comments that say what goes where.
    New(NewArgs),
    /// Check case files, and report every mistake in each.
    Check(CheckArgs),
    /// Print the JSON Schema of a kind of file, with which editors complete and check it.
    #[command(after_help = ExitCodes::help("schema"))]
    Schema {
        /// The kind of file; `perfsec report --schema` prints the schema of a report.
        file: FileSchema,
    },
    /// Write what cells see into their case files, for a person to review.
    Bless(BlessArgs),
    /// Measure which of the kernel's decisions about perf the cases exercise, and how.
    Coverage(CoverageArgs),
    /// Explain which check refused and where, and the least privilege that allows it.
    Explain(ExplainArgs),
    /// Answer why a command is refused perf on this machine, or elsewhere, and what would open
    /// access.
    Why(Box<WhyArgs>),
    /// Write the smallest SELinux policy module that allows what was denied.
    Allow(AllowArgs),
    /// Break a kernel on purpose, in many ways, and check that the suite notices each.
    Selfcheck(SelfcheckArgs),
    /// Open a shell on a booted kernel with the policy loaded.
    Shell(ShellArgs),
    /// Fetch kernels and print the path of the image that is booted for each.
    Kernel(KernelArgs),
    /// Build guest systems: a distribution's userland that boots with the kernel under test.
    Guest(GuestArgs),
    /// List the real machines of ~/.config/perfsec/machines.toml with their states, or check them.
    Machines(MachinesArgs),
    /// Change the source of a policy.
    Policy(PolicyArgs),
    /// Walk through the how-to on perf and SELinux in a guest system, and check what it promises.
    Howto(Box<HowtoArgs>),
    /// List what the cache holds, clear it, or compare it with what was written.
    Cache(CacheArgs),
    /// Show what this host has, what it lacks, and the command that installs it.
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    #[command(after_help = ExitCodes::help("completions"))]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory.
    #[command(after_help = ExitCodes::help("man"))]
    Man {
        /// The directory.
        directory: PathBuf,
    },
    /// Print the help of a command, or a page of the documentation.
    Help(HelpArgs),
}

/// Options of `help`.
#[derive(Debug, Args)]
#[command(after_help = format!("{}\n\n{}", super::topics::topics(), ExitCodes::help("help")))]
pub struct HelpArgs {
    /// A command or a topic [default: list them].
    #[arg(value_name = "COMMAND|TOPIC")]
    pub names: Vec<String>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes all output follow it.
    pub fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

#[cfg(test)]
mod tests;
