//! Options of `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::codes::ExitCodes;
use super::heading::REPORT;
use crate::policy::extend::DomainName;

/// Options of `policy`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("policy"))]
pub struct PolicyArgs {
    /// The command.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// The commands on policies.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Add perf's class and permission to the source of a policy that lacks them, and print the
    /// change as a patch.
    Extend(PolicyExtendArgs),
}

/// Options of `policy extend`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("policy extend"))]
pub struct PolicyExtendArgs {
    /// The top of a tree of policy source, such as refpolicy or Debian's `selinux-policy-src`; or
    /// the module that declares `capability2`, in CIL: `semodule --cil --extract base` writes it.
    pub path: PathBuf,
    /// Print the patch and change nothing.
    #[arg(long, conflicts_with = "out")]
    pub diff: bool,
    /// Add all permissions that Linux 5.8 and 5.9 added to `capability2`: also `bpf` and
    /// `checkpoint_restore`.
    #[arg(long)]
    pub all_capabilities: bool,
    /// Let this domain use perf, with rules in the base module.
    #[arg(long, value_name = "TYPE")]
    pub allow: Vec<DomainName>,
    /// Write the module to this file and leave the other as it is.
    #[arg(long, value_name = "FILE", help_heading = REPORT)]
    pub out: Option<PathBuf>,
}
