//! Options of `survey`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::codes::ExitCodes;
use super::heading::{CELLS, REPORT};
use super::run::context;
use super::{CaseArgs, MachineArgs};

/// Options of `survey`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("survey"))]
pub struct SurveyArgs {
    /// Survey this domain, a whole context such as `user_u:user_r:user_t:s0`. Can be given several
    /// times [default: every domain that can use perf or BPF].
    #[arg(long, value_name = "CONTEXT", value_parser = context, help_heading = CELLS)]
    pub domain: Vec<String>,
    /// The cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// The one kernel and the one policy.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The format of the survey.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: SurveyFormat,
    /// Write the survey to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// The format of a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SurveyFormat {
    /// For a terminal.
    Text,
    /// One page with the matrix.
    Html,
    /// One JSON document, which `compare` reads.
    Json,
}
