//! Options.

mod bisect;
mod series;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use perfsec_qemu::Accel;
use perfsec_wire::Mode;

use crate::engine::Limits;
use crate::grant::Grant;
use crate::host::Need;
use crate::interrupt::Interrupt;
use crate::kbuild::kconfig::{DEFAULT, Fragment, FragmentError};
use crate::kbuild::{Recipe, TreeSpec, Variable};
use crate::kernel;
use crate::obtain::{self, KernelSpec};
use crate::plan::{Filter, Shard};
use crate::report::mail::{Mailbox, MessageId};
use crate::report::{Format, FormatOptions, Schema};

pub(super) use bisect::{BisectArgs, BisectCommand, BisectFormat, StepArgs};
pub(super) use series::{SeriesArgs, SeriesFormat};

/// Who may use perf on a Linux kernel, and what does the audit log say about it?
///
/// perfsec boots a kernel in QEMU, runs small programs under chosen file capabilities and SELinux
/// domains, in permissive and enforcing mode, and compares every syscall's outcome, every capability
/// check and every AVC record with what the kernel's documentation and the policy promise.
#[derive(Debug, Parser)]
#[command(version, after_help = super::exit::TABLE, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colours: `auto` looks at the terminal and at NO_COLOR.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run cells on kernels and judge them.
    Run(RunArgs),
    /// Report a run that is over, from its record.
    Report(ReportArgs),
    /// Join the records of the shards of a run, and of runs on several kernels.
    Merge(MergeArgs),
    /// List what kernels are known to do otherwise, and whether runs still need it.
    Known(KnownArgs),
    /// Show which cells differ between kernels or runs, and in what.
    Compare(CompareArgs),
    /// Check a patch series patch by patch: which cells each patch changes against the one before.
    Series(SeriesArgs),
    /// Find the commit that made cells see something else.
    Bisect(Box<BisectArgs>),
    /// Show a case as a person reads it, with what each cell must see on a kernel.
    Show(ShowArgs),
    /// Say what steps a case can have, with every field.
    Steps(StepsArgs),
    /// Write what cells see into their case files, for a person to review.
    Bless(BlessArgs),
    /// Measure which of a kernel's decision points about perf the cases see decide, and how.
    Coverage(CoverageArgs),
    /// Say which check refused, where in the kernel, and the least privilege that would allow it.
    Explain(ExplainArgs),
    /// Write the smallest SELinux policy module that allows what was denied.
    Allow(AllowArgs),
    /// Break a kernel on purpose, in many ways, and see that the suite notices each.
    Selfcheck(SelfcheckArgs),
    /// Open a shell on a booted kernel with the policy loaded.
    Shell(ShellArgs),
    /// Fetch kernels and print the path of the image that is booted for each.
    Kernel(KernelArgs),
    /// Say what this host has, what it lacks, and what to type.
    Doctor(DoctorArgs),
    /// Write completions for a shell to standard output.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory.
    Man {
        /// The directory.
        directory: PathBuf,
    },
}

/// Which cells.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Globs on cell names (`open/*/none_t/*`); a name without `*`, `?`, `[` or `{` selects every
    /// cell whose name begins with it. The controls of what is selected run with it.
    #[arg(value_name = "CELL")]
    pub names: Vec<String>,
    /// Only these grants: `none`, `perfmon`, `perfmon+sys_admin`.
    #[arg(long, value_name = "GRANT")]
    pub grant: Vec<Grant>,
    /// Only this mode: `permissive` or `enforcing`.
    #[arg(long, value_name = "MODE")]
    pub mode: Vec<Mode>,
}

/// Which cases.
#[derive(Clone, Debug, Default, Args)]
pub struct CaseArgs {
    /// Use the cases in this directory instead of those that perfsec brings.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
}

/// Which kernels, and how they are booted.
#[derive(Clone, Debug, Args)]
pub struct MachineArgs {
    /// Kernel: a file (bzImage, vmlinuz, vmlinux, .deb), `debian:SUITE`, `debian:VERSION`, or
    /// `tree:PATH[@REVISION]`, which is built [default: the newest stock kernel of this host's suite].
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Vec<KernelSpec>,
    /// How they are obtained.
    #[command(flatten)]
    pub obtain: ObtainArgs,
    /// How.
    #[command(flatten)]
    pub boot: BootArgs,
}

/// How kernels and their sources are obtained.
#[derive(Clone, Debug, Default, Args)]
pub struct ObtainArgs {
    /// Build a git tree with its uncommitted changes: those of tracked files and files that are added. Untracked
    /// files are left out.
    #[arg(long)]
    pub dirty: bool,
    /// Look for newer kernels now, even if that was done within the last day.
    #[arg(long)]
    pub refresh: bool,
}

/// How kernels are built and booted, whichever they are.
#[derive(Clone, Debug, Args)]
pub struct BootArgs {
    /// Whose patches the kernels carry, when their banner does not say: `debian`.
    #[arg(long, value_name = "NAME")]
    pub distribution: Option<String>,
    /// Policy: a name (`minimal`), CIL source (.cil) or a binary policy.
    #[arg(long, value_name = "POLICY", default_value = crate::policy::DEFAULT)]
    pub policy: Vec<String>,
    /// Acceleration; probed and remembered unless given.
    #[arg(long, value_name = "ACCEL")]
    pub accel: Option<Accel>,
    /// The QEMU program.
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,
    /// Another kernel parameter; can be given several times.
    #[arg(long, value_name = "PARAMETER")]
    pub append: Vec<String>,
    /// Lanes (kernels under policies) that run at the same time [default: one for each CPU].
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Give a boot up after so many seconds without a sign of life.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub boot_limit: u64,
    /// How trees are built.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// How kernels are built.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Building")]
pub struct BuildArgs {
    /// A fragment of the configuration, by name (`debug`) or file, merged after those that perfsec needs; can
    /// be given several times.
    #[arg(long, value_name = "FRAGMENT")]
    pub config: Vec<String>,
    /// Leave away the fragments that perfsec needs: `base`, `selinux`, `perf` and `tracing`.
    #[arg(long, requires = "config")]
    pub no_default_config: bool,
    /// A variable for `make`, such as `LLVM=1` or `CROSS_COMPILE=x86_64-linux-gnu-`; can be given several
    /// times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub make: Vec<Variable>,
    /// Compilers that run at the same time [default: one for each CPU].
    #[arg(long, value_name = "N")]
    pub build_jobs: Option<usize>,
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// List the cells and run nothing.
    #[arg(long)]
    pub list: bool,
    /// Judge against this record of an earlier run too: only what got worse since fails.
    #[arg(long, value_name = "RUN")]
    pub baseline: Option<PathBuf>,
    /// Run each cell so many times; the kernel has forgotten one before it sees the next.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    pub repeat: u16,
    /// Run the cells in an order that only this number determines. Controls come before the cells
    /// that need them, and a raised lockdown comes last.
    #[arg(long, value_name = "SEED")]
    pub shuffle: Option<u64>,
    /// Known differences besides those that perfsec brings; cases/known.toml shows the form.
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,
    /// Fail when a known difference is gone (XPASS).
    #[arg(long)]
    pub strict: bool,
    /// Run only this part of the cells, such as `1/3`: the first of three. Cases keep their part when
    /// others are added; `perfsec merge` joins the records.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Report the run in this form, into the `--out` that stands in the same place among the `--out`s;
    /// can be given several times.
    #[arg(long, value_name = "FORMAT")]
    pub format: Vec<Format>,
    /// Where a report goes; without `--format`, where the run record goes too.
    #[arg(long, value_name = "FILE")]
    pub out: Vec<PathBuf>,
    /// What the forms leave to choose.
    #[command(flatten)]
    pub options: FormatOptions,
}

/// Options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// The run record.
    #[arg(value_name = "RUN", required_unless_present = "schema")]
    pub run: Option<PathBuf>,
    /// The form of the report.
    #[arg(long, value_name = "FORMAT", default_value = "summary")]
    pub format: Format,
    /// What the forms leave to choose.
    #[command(flatten)]
    pub options: FormatOptions,
    /// Write the JSON Schema of this form, and report nothing.
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["run", "format", "origin"])]
    pub schema: Option<Schema>,
    /// Write the report here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The message to a mailing list.
    #[command(flatten)]
    pub mail: MailArgs,
    /// Tell the regression tracking bot: `introduced=v6.12..v6.13-rc1`, `introduced=COMMIT`,
    /// `^introduced=…` when the message that is answered is the report, `title=TEXT`, `link=LINK`,
    /// `monitor=LINK`.
    #[arg(long, value_name = "KEY=VALUE", requires = "mail", help_heading = "Mail")]
    pub regzbot: Vec<String>,
}

/// Options of `--mail`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// Write the report as a message for `git send-email`. perfsec does not send it.
    #[arg(long, conflicts_with = "format")]
    pub mail: bool,
    /// Who gets it; can be given several times.
    #[arg(long, value_name = "ADDRESS", requires = "mail")]
    pub to: Vec<Mailbox>,
    /// Who else gets it; can be given several times.
    #[arg(long, value_name = "ADDRESS", requires = "mail")]
    pub cc: Vec<Mailbox>,
    /// The subject [default: `Re:` and the subject that is answered; `[REGRESSION]` or `[STATUS]` and
    /// the verdict].
    #[arg(long, value_name = "TEXT", requires = "mail")]
    pub subject: Option<String>,
    /// Answer the message with this id, or at this link in an archive.
    #[arg(long, value_name = "MSGID", requires = "mail")]
    pub in_reply_to: Option<MessageId>,
    /// The subject of the message that is answered.
    #[arg(long, value_name = "TEXT", requires = "in_reply_to")]
    pub subject_of: Option<String>,
    /// Answer the message in this file (.eml or mbox), to everybody who got it; of several the one that
    /// `--in-reply-to` names.
    #[arg(long, value_name = "FILE", requires = "mail", conflicts_with = "subject_of")]
    pub reply_to_mbox: Option<PathBuf>,
}

/// Options of `merge`.
#[derive(Clone, Debug, Args)]
pub struct MergeArgs {
    /// The run records: every shard once, of one kernel or of several.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write the record of the whole run here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `known`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::KNOWN)]
pub struct KnownArgs {
    /// Run records that tell whether what is known is still so.
    #[arg(value_name = "RUN", required_if_eq("stale", "true"))]
    pub runs: Vec<PathBuf>,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Known differences besides those that perfsec brings.
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,
    /// List only what no run needs any more.
    #[arg(long)]
    pub stale: bool,
}

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::COMPARE)]
pub struct CompareArgs {
    /// What to compare: run records, and kernels as `run --kernel` takes them, which are run first. A record
    /// of several kernels is several sides. Each side is compared with the first one.
    #[arg(value_name = "RUN|KERNEL", required = true)]
    pub sides: Vec<String>,
    /// Compare each side with the one before it instead of with the first one.
    #[arg(long)]
    pub consecutive: bool,
    /// Only these cells, as `run` takes them; kernels run these. Without it, kernels run what the first record
    /// was asked for.
    #[arg(long = "cell", value_name = "CELL")]
    pub names: Vec<String>,
    /// Only these grants.
    #[arg(long, value_name = "GRANT")]
    pub grant: Vec<Grant>,
    /// Only this mode: `permissive` or `enforcing`.
    #[arg(long, value_name = "MODE")]
    pub mode: Vec<Mode>,
    /// Name every cell.
    #[arg(long)]
    pub verbose: bool,
    /// The form.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CompareFormat,
    /// Write the comparison here instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which cases kernels run.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How kernels are run; kernels of `--kernel` are sides after the others.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// A form of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// For people.
    Text,
    /// One JSON document: a list with a comparison for each pair of sides.
    Json,
}

/// Options of `show`.
#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Which cells; a case's name selects all of its cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Show what is expected of this version of an upstream kernel (`6.12.40`), or of a stock kernel
    /// of Debian (`debian:6.12.40`); `6.12` is the newest of its series.
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
}

/// Options of `steps`.
#[derive(Clone, Debug, Args)]
pub struct StepsArgs {
    /// Only these steps, by the name of the syscall; `attr` is `struct perf_event_attr`
    /// [default: all].
    #[arg(value_name = "STEP")]
    pub names: Vec<String>,
}

/// Options of `bless`.
#[derive(Clone, Debug, Args)]
pub struct BlessArgs {
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The case files to write to.
    #[arg(long, value_name = "DIR", default_value = "cases/suite")]
    pub cases: PathBuf,
    /// How.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Write to files that have uncommitted changes too.
    #[arg(long)]
    pub dirty: bool,
}

/// Options of `coverage`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::COVERAGE)]
pub struct CoverageArgs {
    /// Which cells.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// List the decision points that perfsec knows, and run nothing.
    #[arg(long)]
    pub list: bool,
    /// Also name the places in this kernel source tree, and those that perfsec does not know.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// Show what this run record has of an earlier `perfsec coverage`, and run nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "grant", "mode", "kernel", "out"])]
    pub from: Option<PathBuf>,
    /// Write the run record here too.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `explain`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::EXPLAIN)]
pub struct ExplainArgs {
    /// An AVC record; `-` for a log (audit.log, ausearch, dmesg, journal) on standard input; a log file by
    /// its path from `/` or `.`; a cell; or a symptom in words, in quotes: "perf stat -a as user with
    /// cap_perfmon, paranoid 2" [default: `-`].
    #[arg(value_name = "WHAT", allow_hyphen_values = true)]
    pub what: Vec<String>,
    /// Which cases a cell is looked for in.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// Explain what is expected of this version of an upstream kernel (`6.12.40`), or of a stock kernel
    /// of Debian (`debian:6.12.40`); `6.12` is the newest of its series [default: the newest upstream].
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
}

/// Options of `allow`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::ALLOW)]
pub struct AllowArgs {
    /// A run record, or an audit log in any form that `explain` reads (`-` for standard input); of a log
    /// only what is about perf is allowed.
    #[arg(value_name = "RUN|AUDITLOG")]
    pub from: PathBuf,
    /// Which cells of the run; their controls are not added.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Only what this domain was denied; can be given several times.
    #[arg(long, value_name = "TYPE")]
    pub domain: Vec<String>,
    /// Write a `.te` for `checkmodule` instead of CIL; `--out` with that ending does so too.
    #[arg(long)]
    pub te: bool,
    /// Write the module here instead of to standard output; the module is called as the file is.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Boot the run's kernels (or `--kernel`) with the run's policy and the module, run its cells again, and
    /// say which denials are gone and whether anything else changed.
    #[arg(long)]
    pub verify: bool,
    /// The cases that the run had.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How `--verify` boots; `--policy` chooses one of the run's policies.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `shell`.
#[derive(Clone, Debug, Args)]
pub struct ShellArgs {
    /// How.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `selfcheck`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::SELFCHECK)]
pub struct SelfcheckArgs {
    /// Only the mutations whose names begin so.
    #[arg(value_name = "MUTATION")]
    pub names: Vec<String>,
    /// Use the patches in this directory instead of those that perfsec brings.
    #[arg(long, value_name = "DIR")]
    pub mutations: Option<PathBuf>,
    /// List the mutations, and build nothing.
    #[arg(long)]
    pub list: bool,
    /// Show how a cell noticed each of them.
    #[arg(short, long)]
    pub verbose: bool,
    /// Which cases.
    #[command(flatten)]
    pub cases: CaseArgs,
    /// How; the kernel is one `tree:` [default: Debian's source of the kernel that `run` takes].
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Options of `kernel`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::KERNEL, args_conflicts_with_subcommands = true)]
pub struct KernelArgs {
    /// What else to do than to fetch.
    #[command(subcommand)]
    pub command: Option<KernelCommand>,
    /// The kernels, named as for `run --kernel` [default: the newest stock kernel of this host's
    /// suite].
    #[arg(value_name = "KERNEL")]
    pub kernels: Vec<KernelSpec>,
    /// Write the image here as well, as it was shipped: `vmlinuz`, compressed.
    #[arg(long, value_name = "FILE")]
    pub shipped: Option<PathBuf>,
    /// Look for newer kernels now, even if that was done within the last day.
    #[arg(long)]
    pub refresh: bool,
}

/// What `kernel` can do besides fetching.
#[derive(Clone, Debug, Subcommand)]
pub enum KernelCommand {
    /// Build a kernel from source and print the path of the image that is booted.
    Build(KernelBuildArgs),
}

/// Options of `kernel build`.
#[derive(Clone, Debug, Args)]
#[command(after_help = super::exit::KERNEL)]
pub struct KernelBuildArgs {
    /// The tree: a git repository, a directory, a tarball, a Debian package `linux-source-*`, or
    /// `debian:VERSION` for one of Debian's archive.
    #[arg(value_name = "PATH", default_value = ".")]
    pub tree: TreeSpec,
    /// The revision [default: the tree as it is].
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    /// Build a git tree with its uncommitted changes: those of tracked files and files that are added. Untracked
    /// files are left out.
    #[arg(long)]
    pub dirty: bool,
    /// How.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Install what is missing, with this host's package manager; needs root.
    #[arg(long)]
    pub install: bool,
    /// Look only at what this is about [default: everything that using perfsec needs].
    #[arg(long = "for", value_name = "PURPOSE")]
    pub purposes: Vec<Purpose>,
}

/// What a host is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Booting kernels.
    Run,
    /// Fetching Debian's kernels.
    Debian,
    /// A shell in a lane.
    Shell,
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

impl ReportArgs {
    /// The run record.
    ///
    /// # Errors
    ///
    /// When none is named, which the command line demands of everything but `--schema`.
    pub(super) fn record(&self) -> Result<&PathBuf, super::Failure> {
        self.run.as_ref().ok_or_else(|| super::Failure::input("no run record is named"))
    }
}

impl FilterArgs {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter {
            names: self.names.clone(),
            grants: self.grant.clone(),
            modes: self.mode.clone(),
            shard: None,
        }
    }
}

impl CompareArgs {
    /// The filter that was given, if one was.
    #[must_use]
    pub fn filter(&self) -> Option<Filter> {
        let (names, grants, modes) = (self.names.clone(), self.grant.clone(), self.mode.clone());
        let filter = Filter { names, grants, modes, shard: None };
        (filter != Filter::default()).then_some(filter)
    }
}

impl Purpose {
    fn needs(&self) -> Vec<Need> {
        match self {
            Self::Run => vec![Need::Run],
            Self::Debian => vec![Need::DebianKernels],
            Self::Shell => vec![Need::Shell],
            Self::Bench => vec![Need::Bench],
            Self::Build => vec![Need::Build],
            Self::Peers => vec![Need::Peers],
            Self::KernelBuild => vec![Need::KernelBuild, Need::Gcc],
            Self::KernelBuildLlvm => vec![Need::KernelBuild, Need::Llvm],
        }
    }
}

impl DoctorArgs {
    /// The needs that were named.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        if self.purposes.is_empty() {
            use Purpose::{Bench, Debian, KernelBuild, Run, Shell};
            return [Run, Debian, Shell, Bench, KernelBuild]
                .iter()
                .flat_map(Purpose::needs)
                .collect();
        }
        self.purposes.iter().flat_map(Purpose::needs).collect()
    }
}

impl BuildArgs {
    /// What is built, and how.
    ///
    /// # Errors
    ///
    /// When a fragment cannot be read.
    pub fn recipe(&self) -> Result<Recipe, FragmentError> {
        let own = if self.no_default_config { [].as_slice() } else { DEFAULT.as_slice() };
        let names = own.iter().copied().chain(self.config.iter().map(String::as_str));
        let mut recipe = Recipe::new(names.map(Fragment::named_or_file).collect::<Result<_, _>>()?);
        recipe.variables.clone_from(&self.make);
        recipe.jobs = self.build_jobs.unwrap_or(recipe.jobs).max(1);
        Ok(recipe)
    }
}

impl ObtainArgs {
    /// How kernels are obtained that are built as `build` says.
    ///
    /// # Errors
    ///
    /// When a fragment cannot be read.
    pub fn options(
        &self,
        build: &BuildArgs,
        interrupt: &Interrupt,
    ) -> Result<obtain::Options, FragmentError> {
        let Self { dirty, refresh } = *self;
        let images =
            if refresh { kernel::Options::refreshing() } else { kernel::Options::default() };
        let (recipe, interrupt) = (build.recipe()?, interrupt.clone());
        Ok(obtain::Options { images, recipe, dirty, interrupt })
    }
}

impl BootArgs {
    /// How long a guest may be silent.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { boot: Duration::from_secs(self.boot_limit), ..Limits::default() }
    }
}
