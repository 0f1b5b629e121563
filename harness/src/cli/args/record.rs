//! FormatOptions of the commands that read run records: `report`, `merge`, `known` and `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::Failure;
use super::super::codes::ExitCodes;
use super::heading::{CELLS, MAIL, REPORT, VERDICTS};
use super::{CaseArgs, MachineArgs, MailArgs};
use crate::grant::Grant;
use crate::plan::Filter;
use crate::report::{Format, FormatOptions, Schema};
use perfsec_wire::Mode;

/// FormatOptions of `report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("report"))]
pub struct ReportArgs {
    /// The run record.
    #[arg(value_name = "RUN", required_unless_present = "schema")]
    pub run: Option<PathBuf>,
    /// The format of the report.
    #[arg(long, value_name = "FORMAT", default_value = "summary", help_heading = REPORT)]
    pub format: Format,
    /// The names in the report.
    #[command(flatten)]
    pub options: FormatOptions,
    /// Print the JSON Schema of this format instead of a report.
    #[arg(
        long,
        value_name = "FORMAT",
        conflicts_with_all = ["run", "format", "origin"],
        help_heading = REPORT
    )]
    pub schema: Option<Schema>,
    /// Write the report to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
    /// The message to a mailing list.
    #[command(flatten)]
    pub mail: MailArgs,
    /// Add a command for the regression tracking bot: `introduced=v6.12..v6.13-rc1`,
    /// `introduced=COMMIT`, `^introduced=…` if the message being answered is the report,
    /// `title=TEXT`, `link=LINK`, `monitor=LINK`. Can be given several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "mail", help_heading = MAIL)]
    pub regzbot: Vec<String>,
}

/// FormatOptions of `merge`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("merge"))]
pub struct MergeArgs {
    /// The run records: every shard once, of one kernel or of several.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write the joined record to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// FormatOptions of `known`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("known"))]
pub struct KnownArgs {
    /// Run records to check the known differences against.
    #[arg(value_name = "RUN", required_if_eq("stale", "true"))]
    pub runs: Vec<PathBuf>,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Add a file of known differences to the built-in ones. Can be given several times.
    #[arg(long, value_name = "FILE", help_heading = VERDICTS)]
    pub known: Vec<PathBuf>,
    /// List only the known differences that no run shows any more.
    #[arg(long, help_heading = VERDICTS)]
    pub stale: bool,
}

/// FormatOptions of `compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("compare"))]
pub struct CompareArgs {
    /// The sides: run records, and kernels as in `run --kernel`, which are run first. A record of
    /// several kernels counts as several sides. Each side is compared with the first one. Or two
    /// surveys in JSON, whose names end in .json.
    #[arg(value_name = "RUN|KERNEL", required = true)]
    pub sides: Vec<String>,
    /// Compare each side with the one before it instead of the first one.
    #[arg(long)]
    pub consecutive: bool,
    /// Name every cell.
    #[arg(long)]
    pub verbose: bool,
    /// Compare only these cells, named as for `run`. Kernels run only these; without this option,
    /// they run the cells of the first record.
    #[arg(long = "cell", value_name = "CELL", help_heading = CELLS)]
    pub names: Vec<String>,
    /// Compare only these grants.
    #[arg(long, value_name = "GRANT", help_heading = CELLS)]
    pub grant: Vec<Grant>,
    /// Compare only this mode: `permissive` or `enforcing`.
    #[arg(long, value_name = "MODE", help_heading = CELLS)]
    pub mode: Vec<Mode>,
    /// The cases that kernels run.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The machines that run kernels; each `--kernel` is a side after the others.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The format of the comparison.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: CompareFormat,
    /// Write the comparison to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// The format of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For people.
    Text,
    /// One JSON document: a list with one comparison for each pair of sides.
    Json,
}

impl ReportArgs {
    /// The path of the run record.
    ///
    /// # Errors
    ///
    /// When no record is named; the command line requires one for everything but `--schema`.
    pub(in crate::cli) fn record(&self) -> Result<&PathBuf, Failure> {
        self.run.as_ref().ok_or_else(|| Failure::input("no run record is named"))
    }
}

impl CompareArgs {
    /// The filter, or `None` if no option sets one.
    #[must_use]
    pub fn filter(&self) -> Option<Filter> {
        let (names, grants, modes) = (self.names.clone(), self.grant.clone(), self.mode.clone());
        let filter = Filter { names, grants, modes, shard: None };
        (filter != Filter::default()).then_some(filter)
    }
}
