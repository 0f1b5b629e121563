//! Options of the commands that set things up: `kernel`, `cache` and `doctor`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use super::super::codes::ExitCodes;
use super::BuildArgs;
use super::heading::KERNELS;
use crate::cache::ROOMS;
use crate::engine::KernelSpec;
use crate::host::Need;
use crate::kbuild::TreeSpec;

/// Options of `kernel`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("kernel"), args_conflicts_with_subcommands = true)]
pub struct KernelArgs {
    /// The subcommand; without one, kernels are fetched.
    #[command(subcommand)]
    pub command: Option<KernelCommand>,
    /// The kernels, named as for `run --kernel` [default: the newest stock kernel of this host's
    /// suite].
    #[arg(value_name = "KERNEL")]
    pub kernels: Vec<KernelSpec>,
    /// Also write the image to this file as it was shipped: `vmlinuz`, compressed.
    #[arg(long, value_name = "FILE")]
    pub shipped: Option<PathBuf>,
    /// Look for newer kernels even if perfsec did so within the last day.
    #[arg(long, help_heading = KERNELS)]
    pub refresh: bool,
}

/// Subcommands of `kernel`.
#[derive(Clone, Debug, Subcommand)]
pub enum KernelCommand {
    /// Build a kernel from source and print the path of the image that is booted.
    Build(KernelBuildArgs),
}

/// Options of `kernel build`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("kernel build"))]
pub struct KernelBuildArgs {
    /// The tree: a git repository, a directory, a tarball, a Debian package `linux-source-*`, or
    /// `debian:VERSION` for a package from Debian's archive.
    #[arg(value_name = "PATH", default_value = ".")]
    pub tree: TreeSpec,
    /// The revision [default: what is checked out].
    #[arg(long, value_name = "REV", help_heading = KERNELS)]
    pub rev: Option<String>,
    /// Build a git tree with its uncommitted changes: those of tracked files, and added files.
    /// Untracked files are left out.
    #[arg(long, help_heading = KERNELS)]
    pub dirty: bool,
    /// Options of the build.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// Options of `cache`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("cache"), args_conflicts_with_subcommands = true)]
pub struct CacheArgs {
    /// The subcommand; without one, the directories of the cache are listed.
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
}

/// Subcommands of `cache`.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// Delete what the cache holds, unless another perfsec is using it.
    Clear(CacheClearArgs),
    /// Compare all that the cache holds with what was written, and delete what differs.
    Verify(CacheVerifyArgs),
}

/// Options of `cache verify`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("cache verify"))]
pub struct CacheVerifyArgs {
    /// Delete nothing.
    #[arg(long)]
    pub keep: bool,
}

/// Options of `cache clear`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("cache clear"))]
pub struct CacheClearArgs {
    /// Directories of the cache, as `perfsec cache` lists them [default: all except `runs`, whose
    /// records cannot be made again].
    #[arg(value_name = "ROOM", value_parser = rooms())]
    pub rooms: Vec<String>,
    /// Delete only entries that were last used more than this number of days ago.
    #[arg(long, value_name = "DAYS")]
    pub older_than: Option<u32>,
}

fn rooms() -> PossibleValuesParser {
    PossibleValuesParser::new(ROOMS.iter().map(|room| room.name))
}

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("doctor"))]
pub struct DoctorArgs {
    /// Install what is missing, with this host's package manager; needs root.
    #[arg(long)]
    pub install: bool,
    /// Look only at what this needs. Can be given several times [default: `run`, `debian`,
    /// `shell`, `guests`, `bench` and `kernel-build`].
    #[arg(long = "for", value_name = "PURPOSE")]
    pub purposes: Vec<Purpose>,
}

/// A use of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Booting kernels.
    Run,
    /// Fetching Debian's kernels and policies.
    Debian,
    /// Building policies from modules.
    Policies,
    /// A shell on a booted kernel.
    Shell,
    /// Building guest systems.
    Guests,
    /// Measuring.
    Bench,
    /// Building perfsec.
    Build,
    /// Checking reports with the programs that read them.
    Peers,
    /// Building kernels from source, with GCC.
    KernelBuild,
    /// Building kernels from source, with LLVM.
    KernelBuildLlvm,
}

impl Purpose {
    fn needs(&self) -> Vec<Need> {
        match self {
            Self::Run => vec![Need::Run],
            Self::Debian => vec![Need::DebianKernels],
            Self::Policies => vec![Need::Policies],
            Self::Shell => vec![Need::Shell],
            Self::Guests => vec![Need::Guests, Need::DebianKernels],
            Self::Bench => vec![Need::Bench],
            Self::Build => vec![Need::Build],
            Self::Peers => vec![Need::Peers],
            Self::KernelBuild => vec![Need::KernelBuild, Need::Gcc],
            Self::KernelBuildLlvm => vec![Need::KernelBuild, Need::Llvm],
        }
    }
}

impl DoctorArgs {
    /// The needs of the purposes.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        if self.purposes.is_empty() {
            use Purpose::{Bench, Debian, Guests, KernelBuild, Run, Shell};
            return [Run, Debian, Shell, Guests, Bench, KernelBuild]
                .iter()
                .flat_map(Purpose::needs)
                .collect();
        }
        self.purposes.iter().flat_map(Purpose::needs).collect()
    }
}
