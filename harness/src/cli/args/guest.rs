//! Options on guest systems.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::codes::ExitCodes;
use super::heading::BOOTING;
use crate::guest::GuestName;
use crate::machines::GuestProgram;

/// The guest system of a command that boots kernels.
#[derive(Clone, Debug, Default, Args)]
pub struct SystemArgs {
    /// Boot the kernel with this guest system, `debian:SUITE`: systemd, auditd, perf and the policy of
    /// that suite. It is built first if it is not in the cache.
    #[arg(
        long,
        value_name = "SYSTEM",
        conflicts_with_all = ["policy", "module", "boolean", "dontaudit"],
        help_heading = BOOTING
    )]
    pub guest: Option<GuestName>,
}

/// Options of `guest`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("guest"))]
pub struct GuestArgs {
    /// The command.
    #[command(subcommand)]
    pub command: GuestCommand,
}

/// The commands on guest systems.
#[derive(Clone, Debug, Subcommand)]
pub enum GuestCommand {
    /// Build a guest system from its distribution's packages.
    Build(GuestBuildArgs),
    /// Write a guest system to a file that a machine boots as its initramfs, as for another QEMU or
    /// a lab. It is built first if it is not in the cache. Prints kernel parameters for it.
    Pack(GuestPackArgs),
}

/// Options of `guest build`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("guest build"))]
pub struct GuestBuildArgs {
    /// The system, `debian:SUITE`.
    #[arg(value_name = "SYSTEM")]
    pub system: GuestName,
    /// Build it anew, from the packages that the suite has now.
    #[arg(long)]
    pub anew: bool,
}

/// Options of `guest pack`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("guest pack"))]
pub struct GuestPackArgs {
    /// The system, `debian:SUITE`.
    #[arg(value_name = "SYSTEM")]
    pub system: GuestName,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Put a static program into the system as /usr/bin/NAME. Can be given several times.
    #[arg(long, value_name = "FILE", help_heading = BOOTING)]
    pub program: Vec<GuestProgram>,
}
