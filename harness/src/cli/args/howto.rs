//! Options of `howto`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::codes::ExitCodes;
use super::MachineArgs;
use super::heading::{BOOTING, REPORT};
use crate::guest::GuestName;

/// Options of `howto`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("howto"))]
pub struct HowtoArgs {
    /// The one kernel, and how it is booted.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The guest system in which the steps are typed, `debian:SUITE`. Its policy is changed and
    /// extended. It is built first if it is not in the cache.
    #[arg(
        long,
        value_name = "SYSTEM",
        default_value = "debian:trixie",
        help_heading = BOOTING
    )]
    pub guest: GuestName,
    /// Walk through the steps in this file instead of the built-in ones, which `--show` prints.
    #[arg(long, value_name = "FILE")]
    pub steps: Option<PathBuf>,
    /// Print the built-in steps, to adapt them to another policy or domain.
    #[arg(long, exclusive = true)]
    pub show: bool,
    /// The format of the page [default: `html` if the name of the file ends so, else `text`].
    #[arg(long, value_name = "FORMAT", help_heading = REPORT)]
    pub format: Option<HowtoFormat>,
    /// Write the page to this file instead of standard output.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}

/// The format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HowtoFormat {
    /// For a terminal.
    Text,
    /// One HTML page.
    Html,
}

impl HowtoFormat {
    /// The format of a file of this name.
    #[must_use]
    pub fn of(path: Option<&Path>) -> Self {
        let end = path.and_then(Path::extension).and_then(|end| end.to_str());
        match end {
            Some("html" | "htm") => Self::Html,
            _ => Self::Text,
        }
    }
}
