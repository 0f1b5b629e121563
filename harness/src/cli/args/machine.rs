//! Options on kernels: which ones, and how they are built and booted.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

use super::heading::{BOOTING, BUILDING, KERNELS, VERDICTS};
use crate::engine::KernelSpec;
use crate::kbuild::kconfig::{DEFAULT, Fragment, FragmentError, METAL};
use crate::kbuild::{ImageForm, Recipe, Variable};
use crate::machines::GuestProgram;
use crate::machines::qemu::{Accel, PROGRAM};
use crate::policy::{BooleanSetting, ModuleFile, PolicySource};

/// A time limit: at least a second, at most a week.
fn seconds() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=7 * 24 * 3600)
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Options on kernels that are obtained and booted.
#[derive(Clone, Debug, Args)]
pub struct MachineArgs {
    /// A kernel: a file (bzImage, vmlinuz, vmlinux, .deb, .rpm), `debian:SUITE`, `debian:VERSION`,
    /// or `tree:PATH[@REVISION]`, which is built. Can be given several times [default: the newest
    /// stock kernel of this host's suite].
    #[arg(long, value_name = "KERNEL", help_heading = KERNELS)]
    pub kernel: Vec<KernelSpec>,
    /// Options for obtaining them.
    #[command(flatten)]
    pub obtain: ObtainArgs,
    /// Options for building and booting them.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// Options for obtaining kernels and their sources.
#[derive(Clone, Debug, Default, Args)]
pub struct ObtainArgs {
    /// Build a git tree with its uncommitted changes: those of tracked files, and added files.
    /// Untracked files are left out.
    #[arg(long, help_heading = KERNELS)]
    pub dirty: bool,
    /// Look for newer kernels even if perfsec did so within the last day.
    #[arg(long, help_heading = KERNELS)]
    pub refresh: bool,
}

/// Options for building and booting kernels.
#[derive(Clone, Debug, Args)]
pub struct BootArgs {
    /// Show no progress; of a run, print only what failed and the last line. Errors and warnings
    /// are still printed.
    #[arg(short, long)]
    pub quiet: bool,
    /// The distribution whose patches the kernels carry, if their banner does not say: `debian`.
    #[arg(long, value_name = "NAME", help_heading = KERNELS)]
    pub distribution: Option<String>,
    /// The `.config` of the kernels whose configuration is unknown. Without it, the cells that
    /// depend on the configuration of such a kernel are skipped.
    #[arg(long, value_name = "FILE", help_heading = KERNELS)]
    pub kernel_config: Option<PathBuf>,
    /// The SELinux policy: a name (`minimal`), `debian:SUITE`, `debian:VERSION` (or `debian-mls:`),
    /// a package (.deb, .rpm), a directory like /etc/selinux/TYPE or /var/lib/selinux/TYPE, CIL
    /// source (.cil) or a binary policy. Can be given several times.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = crate::policy::DEFAULT,
        help_heading = BOOTING
    )]
    pub policy: Vec<PolicySource>,
    /// Add a module (.cil, .pp) to the policy, as `semodule --install` does. Can be given several
    /// times.
    #[arg(long, value_name = "FILE[:PRIORITY]", help_heading = BOOTING)]
    pub module: Vec<ModuleFile>,
    /// Set a boolean of the policy. Can be given several times.
    #[arg(long, value_name = "NAME=on|off", help_heading = BOOTING)]
    pub boolean: Vec<BooleanSetting>,
    /// With `off`, remove the policy's `dontaudit` rules, as `semodule --disable_dontaudit` does.
    #[arg(long, value_name = "on|off", default_value = "on", help_heading = BOOTING)]
    pub dontaudit: Switch,
    /// The accelerator [default: found by a trial boot, and remembered].
    #[arg(long, value_name = "ACCEL", help_heading = BOOTING)]
    pub accel: Option<Accel>,
    /// The QEMU program.
    #[arg(long, value_name = "PROGRAM", default_value = PROGRAM, help_heading = BOOTING)]
    pub qemu: PathBuf,
    /// Add a kernel parameter. Can be given several times.
    #[arg(long, value_name = "PARAMETER", help_heading = BOOTING)]
    pub append: Vec<String>,
    /// Put a static program into the guests as /usr/bin/NAME, for steps that run it. Can be given
    /// several times.
    #[arg(long, value_name = "FILE", help_heading = BOOTING)]
    pub program: Vec<GuestProgram>,
    /// Run this many guests in parallel [default: one for each CPU, or fewer if memory is short].
    #[arg(short, long, value_name = "N", help_heading = BOOTING)]
    pub jobs: Option<usize>,
    /// Boot every guest: restore none from a snapshot, and save none.
    #[arg(long, help_heading = BOOTING)]
    pub cold: bool,
    /// Write the memory of each guest that dies or hangs into a file of this directory, for
    /// crash(8). A file is as large as the guest's memory.
    #[arg(long, value_name = "DIR", help_heading = BOOTING)]
    pub dump_memory: Option<PathBuf>,
    /// The time limits.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Repeat a cell that fails up to this many times. If it behaves differently, it is FLAKY; if
    /// it always fails the same way, it has failed.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = VERDICTS)]
    pub retries: usize,
    /// Options for building them.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// Time limits. Whatever is ended by one says so.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Give up on a boot after this long without any output, or after five times as long whatever
    /// it prints; with `--machine ssh:HOST`, on a machine that was lost for five times as long.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 120,
        value_parser = seconds(),
        help_heading = BOOTING
    )]
    pub boot_limit: u64,
    /// Give up on a guest that reports nothing new for this long after its boot, whatever its
    /// console prints, or for as long as its cell may take, if that is longer.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = seconds(),
        help_heading = BOOTING
    )]
    pub silence_limit: u64,
    /// Kill a cell's subject after this long, unless its case sets a `limit`; five times as long
    /// on a kernel with KASAN, lockdep or the like.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = seconds(),
        help_heading = BOOTING
    )]
    pub cell_limit: u64,
    /// End the run after this long. Cells that have not run are MISS; `--resume` runs them.
    #[arg(long, value_name = "SECONDS", value_parser = seconds(), help_heading = BOOTING)]
    pub run_limit: Option<u64>,
}

/// Options of a build.
#[derive(Clone, Debug, Default, Args)]
pub struct BuildArgs {
    /// Merge a fragment of kernel configuration, by name (`debug`) or file, after those that
    /// perfsec needs. Can be given several times.
    #[arg(long, value_name = "FRAGMENT", help_heading = BUILDING)]
    pub config: Vec<String>,
    /// Omit the fragments that perfsec needs: `base`, `selinux`, `perf` and `tracing`.
    #[arg(long, requires = "config", help_heading = BUILDING)]
    pub no_default_config: bool,
    /// Set a variable for `make`, such as `LLVM=1` or `CROSS_COMPILE=x86_64-linux-gnu-`. Can be
    /// given several times.
    #[arg(long, value_name = "NAME=VALUE", help_heading = BUILDING)]
    pub make: Vec<Variable>,
    /// Run this many compilers in parallel [default: one for each CPU].
    #[arg(long, value_name = "N", help_heading = BUILDING)]
    pub build_jobs: Option<usize>,
}

impl BuildArgs {
    /// A recipe of the fragments that the user named, without perfsec's own.
    ///
    /// # Errors
    ///
    /// When a fragment cannot be read.
    pub fn own_recipe(&self) -> Result<Recipe, FragmentError> {
        self.recipe_of(&[])
    }

    /// The configuration and the make variables.
    ///
    /// # Errors
    ///
    /// When a fragment cannot be read.
    pub fn recipe(&self) -> Result<Recipe, FragmentError> {
        self.recipe_of(if self.no_default_config { &[] } else { &DEFAULT })
    }

    /// The same for real machines, which start a kernel by kexec.
    ///
    /// # Errors
    ///
    /// When a fragment cannot be read.
    pub fn metal_recipe(&self) -> Result<Recipe, FragmentError> {
        let ours = [&DEFAULT[..], &[METAL]].concat();
        let first = if self.no_default_config { &[][..] } else { &ours };
        Ok(Recipe { image: ImageForm::BzImage, ..self.recipe_of(first)? })
    }

    fn recipe_of(&self, first: &[&str]) -> Result<Recipe, FragmentError> {
        let names = first.iter().copied().chain(self.config.iter().map(String::as_str));
        let mut recipe = Recipe::new(names.map(Fragment::load).collect::<Result<_, _>>()?);
        recipe.variables.clone_from(&self.make);
        recipe.jobs = self.build_jobs.unwrap_or(recipe.jobs).max(1);
        Ok(recipe)
    }
}
