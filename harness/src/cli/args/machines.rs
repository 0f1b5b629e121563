//! Options of `machines`.

use clap::{Args, Subcommand, ValueEnum};

use super::super::codes::ExitCodes;
use super::heading::REPORT;
use crate::machines::site::SiteName;

/// Options of `machines`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("machines"), args_conflicts_with_subcommands = true)]
pub struct MachinesArgs {
    /// The subcommand; without one, machines are listed.
    #[command(subcommand)]
    pub command: Option<MachinesCommand>,
    /// The format of the list.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: MachinesFormat,
}

/// Subcommands of `machines`.
#[derive(Clone, Debug, Subcommand)]
pub enum MachinesCommand {
    /// Check that machines start a known good kernel and return to their own system, and that their
    /// power can be switched. Use a broken machine again.
    Check(MachinesCheckArgs),
}

/// Options of `machines check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("machines check"))]
pub struct MachinesCheckArgs {
    /// The machines, by the names that ~/.config/perfsec/machines.toml gives them [default: all].
    #[arg(value_name = "NAME")]
    pub names: Vec<SiteName>,
}

/// The format of the list of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MachinesFormat {
    /// For a terminal.
    Text,
    /// One JSON document.
    Json,
}
