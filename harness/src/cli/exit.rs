//! Exit codes, and the error that ends a command. Library errors get their exit code here only.

use std::error::Error;
use std::process::ExitCode;

use crate::bisect::BisectError;
use crate::cache::CacheError;
use crate::case::LibraryError;
use crate::causes::with_causes;
use crate::compare::{BaselineError, NothingInCommon};
use crate::coverage::{self, PointsError};
use crate::engine::{EngineError, KernelSpecError};
use crate::judge::Verdict;
use crate::kbuild::BuildError;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel::KernelError;
use crate::known::KnownError;
use crate::machines::{Blame, MachineError};
use crate::plan::NotAGlob;
use crate::policy::PolicyError;
use crate::record::{MergeError, RecordError, Run};
use crate::selfcheck::{MutationError, SelfcheckError};
use crate::series::{self, ExpectError, SeriesError};
use crate::source::{GitError, SourceError};

/// The table of exit codes, for `--help`, the man page and README.
pub(super) const TABLE: &str = "\
Exit codes:
  0    every cell passed (or was skipped or is known to differ), and at least one ran, or
       the --shard has none
  1    a cell FAILed: the kernel did something else than expected; with --baseline,
       something got worse; with --strict, a known difference is gone (XPASS)
  2    bad input: an option, a case file, a policy or a kernel file
  3    a cell was not judged: ERROR (it could not be carried out) or MISS (the target died)
  4    no cell ran: the filters select none, or all were skipped
  5    this host lacks something: a program, a right, disk space (`perfsec doctor` says what)
  6    the kernel cannot be tested: it does not boot, lacks SELinux, audit or perf, or
       does not take the policy
  7    a kernel does not build
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec kernel`.
pub(super) const KERNEL: &str = "\
Exit codes:
  0    every kernel is there
  2    bad input: an option, a kernel file, a tree, a revision or a fragment
  5    this host lacks something (`perfsec doctor --for kernel-build` says what)
  7    a kernel does not build; the error has the compiler's first one and the path of the log
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec coverage`.
pub(super) const COVERAGE: &str = "\
Exit codes:
  0    every question that a guest can reach was seen answered both ways
  1    a question was seen answered one way only, or never
  2    bad input: an option, a case file, a run record, a source tree or a kernel file
  3    a cell could not be carried out (ERROR) or the target died (MISS)
  4    no cell ran, or the run record has no coverage
  5    this host lacks something (`perfsec doctor` says what)
  6    the kernel cannot be tested
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec known`.
pub(super) const KNOWN: &str = "\
Exit codes:
  0    all is told; with --stale: nothing is stale
  1    with --stale: something is
  2    bad input: an option, a case file, a file of known differences or a run record";

/// The same of `perfsec compare`.
pub(super) const COMPARE: &str = "\
Exit codes:
  0    every cell that was compared is the same on both sides
  1    a cell differs: in a result, a check, a record, their order, or the verdict
  2    bad input: an option, a run record, a kernel file, or sides without a cell in common
  3    nothing differs, but a cell has no result to compare: ERROR, MISS, or the run was cut
  4    no cell was compared: the filters select none, or all were skipped or have changed
  5    this host lacks something (`perfsec doctor` says what)
  6    a kernel cannot be tested
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec series`.
pub(super) const SERIES: &str = "\
Exit codes:
  0    every patch applies, builds without a new warning and boots, and no cell changed, or only
       as stated with --expect
  1    a cell fails that did not, or changed in a way that nobody stated, or a stated change did
       not happen, or the compiler warns of more than before
  2    bad input: an option, a series that is not whole, a tree, a patch that does not apply
       (of such a series nothing is built)
  3    nothing is wrong with what was compared, but a cell was not judged
  4    no cell ran
  5    this host lacks something (`perfsec doctor --for kernel-build` says what)
  6    a kernel of the series cannot be tested: it does not boot, for one
  7    a kernel of the series does not build
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP; the next check goes on where this one was";

/// The same of `perfsec bisect`.
pub(super) const BISECT: &str = "\
Exit codes:
  0    the first bad commit is found
  1    only a range is: what is left in it does not build or cannot be tested
  2    bad input: an option, a revision, a case file, ends between which there is nothing to find
  4    the filters select no cell
  5    this host lacks something (`perfsec doctor --for kernel-build` says what)
  6    an end cannot be tested: it does not boot, for one
  7    an end does not build
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP; what was built is not built again";

/// The same of `perfsec bisect step`, as `git bisect run` takes them.
pub(super) const BISECT_STEP: &str = "\
Exit codes:
  0    good: every cell sees what it saw in the baseline; without one, no cell fails
  1    bad: a cell sees something else; without a baseline, a cell fails
  125  skip: the tree does not build, does not boot, or a cell was not judged
  128  stop: bad input, or this host lacks something (`perfsec doctor` says what)
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec selfcheck`.
pub(super) const SELFCHECK: &str = "\
Exit codes:
  0    every mutation that applies to the tree was noticed
  1    a mutation was noticed by no cell: the suite has a hole
  2    bad input: an option, a patch, a case file or a tree
  3    a mutation could not be tried: it does not build, does not live or changes nothing
  4    no mutation applies to the tree
  5    this host lacks something (`perfsec doctor --for kernel-build` says what)
  6    the unchanged kernel cannot be tested
  7    the unchanged kernel does not build
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The same of `perfsec explain`.
pub(super) const EXPLAIN: &str = "\
Exit codes:
  0    it is explained
  2    bad input: half a record, words that say nothing, a name that begins several cells
  4    nothing to explain: no AVC record about perf, or no such cell";

/// The same of `perfsec allow`.
pub(super) const ALLOW: &str = "\
Exit codes:
  0    the module is written, and with --verify: what it allows is no longer denied, and nothing
       else changed
  1    with --verify: a denial is still there, or something else changed
  2    bad input: an option, a run record, a log, or a policy that cannot be extended
  3    with --verify: a cell could not be carried out or the target died
  4    nothing was denied that a module could allow
  5    this host lacks something (`perfsec doctor` says what), or a file cannot be written
  6    with --verify: the kernel cannot be tested
  130  interrupted by SIGINT; 143 by SIGTERM, 129 by SIGHUP";

/// The end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Success,
    /// A cell failed.
    Failed,
    /// Bad input.
    Input,
    /// A cell was not judged.
    NotJudged,
    /// No cell ran.
    NothingRan,
    /// The host lacks something.
    Host,
    /// The kernel cannot be tested.
    Kernel,
    /// The kernel does not build.
    Build,
    /// `git bisect run` must skip the commit.
    Skip,
    /// `git bisect run` must stop.
    Stop,
    /// Ended by this signal.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failed => 1,
            Exit::Input => 2,
            Exit::NotJudged => 3,
            Exit::NothingRan => 4,
            Exit::Host => 5,
            Exit::Kernel => 6,
            Exit::Build => 7,
            Exit::Skip => 125,
            Exit::Stop => 128,
            Exit::Signal(number) => 128 + number,
        })
    }
}

impl Exit {
    /// The exit code after a run.
    pub fn of_run(run: &Run) -> Self {
        let counts = run.counts();
        let any = |wanted: fn(Verdict) -> bool| counts.iter().any(|(got, _)| wanted(got));
        if any(|verdict| verdict == Verdict::Fail) {
            Self::Failed
        } else if run.lanes.iter().any(|lane| lane.refused().is_some()) {
            Self::Kernel
        } else if run.unseen() > 0 || any(|got| matches!(got, Verdict::Error | Verdict::Miss)) {
            Self::NotJudged
        } else if !any(Verdict::judged) {
            Self::NothingRan
        } else {
            Self::Success
        }
    }
}

/// The error that ends a command, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The error, with its causes.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// An error in the input.
    pub fn input(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Input, error: error.into() }
    }

    /// An error of the host.
    pub fn host(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Host, error: error.into() }
    }

    /// Prints the error and its causes to standard error.
    pub fn print(&self) {
        let text = with_causes(&*self.error);
        // Mistakes in case files are rendered with a heading each.
        let heading = if text.starts_with("error") { "" } else { "error: " };
        anstream::eprintln!("{heading}{text}");
    }
}

/// Puts "cannot" before the text of a library error, which is a fragment.
pub(super) fn cannot(exit: Exit, error: &(dyn Error + Send + Sync + 'static)) -> Failure {
    Failure { exit, error: format!("cannot {}", with_causes(error)).into() }
}

/// An error of the library, which decides how the command ends.
trait Coded: Error + Send + Sync + Sized + 'static {
    /// Exit code of the command.
    fn exit(&self) -> Exit;

    /// True if the text is a fragment that fits after "cannot"; other texts have their own heading
    /// and place, or are whole sentences.
    fn is_fragment(&self) -> bool {
        true
    }
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        let exit = error.exit();
        if error.is_fragment() { cannot(exit, &error) } else { Self { exit, error: error.into() } }
    }
}

/// Errors that are always the fault of what the user wrote.
macro_rules! input {
    ($($error:ty),* $(,)?) => {
        $(impl Coded for $error {
            fn exit(&self) -> Exit {
                Exit::Input
            }
        })*
    };
}

input!(
    BaselineError,
    FragmentError,
    KernelSpecError,
    MergeError,
    MutationError,
    NothingInCommon,
    PointsError,
    SeriesError,
    coverage::SourceError,
);

impl Coded for EngineError {
    fn exit(&self) -> Exit {
        match self {
            Self::Policy(error) => error.exit(),
            Self::Kernel(error) => error.exit(),
            Self::Source(error) => error.exit(),
            Self::Build(error) => error.exit(),
            Self::Machine(error) => error.exit(),
            Self::Record(error) => error.exit(),
            Self::Fragment(error) => error.exit(),
            Self::Name(error) => error.exit(),
            Self::NoCell => Exit::NothingRan,
            Self::NoKernel => Exit::Input,
            // The signal that came decides.
            Self::Interrupted | Self::ReadRecord { .. } | Self::Cache(_) => Exit::Host,
        }
    }

    fn is_fragment(&self) -> bool {
        match self {
            Self::Name(error) => error.is_fragment(),
            Self::NoCell | Self::NoKernel | Self::Interrupted => false,
            _ => true,
        }
    }
}

impl Coded for LibraryError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        !matches!(self, Self::Cases(_))
    }
}

impl Coded for KnownError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        !matches!(self, Self::Mistakes(_))
    }
}

impl Coded for ExpectError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        !matches!(self, Self::Mistakes(_))
    }
}

impl Coded for NotAGlob {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        false
    }
}

impl Coded for PolicyError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoCompiler(_) | Self::Cache(_) => Exit::Host,
            Self::Unknown { .. }
            | Self::Read { .. }
            | Self::NotAPolicy { .. }
            | Self::Binary { .. }
            | Self::Refused { .. } => Exit::Input,
        }
    }
}

impl Coded for RecordError {
    fn exit(&self) -> Exit {
        if matches!(self, Self::Write { .. }) { Exit::Host } else { Exit::Input }
    }
}

impl Coded for KernelError {
    fn exit(&self) -> Exit {
        if matches!(self, Self::Cache(_)) { Exit::Host } else { Exit::Input }
    }
}

impl Coded for SourceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Git(GitError::Missing(_) | GitError::Start { .. } | GitError::Full(_))
            | Self::Cache(_) => Exit::Host,
            Self::Debian(_) | Self::Unpack(_) => Exit::Input,
            Self::Git(_)
            | Self::Read { .. }
            | Self::NoTree { .. }
            | Self::NotATree { .. }
            | Self::Refused { .. }
            | Self::NoRevision { .. }
            | Self::Partial { .. }
            | Self::Dirty { .. } => Exit::Input,
        }
    }
}

impl Coded for BuildError {
    fn exit(&self) -> Exit {
        match self {
            Self::Source(error) => error.exit(),
            Self::Image(error) => error.exit(),
            Self::Failed(_) => Exit::Build,
            Self::Configure(_) | Self::Fragment(_) | Self::NotATree(_) => Exit::Input,
            Self::Missing(_)
            | Self::NoTool(_)
            | Self::Start(_)
            | Self::Full(_)
            | Self::Cache(_) => Exit::Host,
            // The signal that came decides.
            Self::Interrupted(_) => Exit::Host,
        }
    }
}

impl Coded for MachineError {
    fn exit(&self) -> Exit {
        match self.blame {
            Blame::Kernel => Exit::Kernel,
            Blame::Machine | Blame::Host => Exit::Host,
        }
    }
}

impl Coded for CacheError {
    fn exit(&self) -> Exit {
        Exit::Host
    }
}

impl Coded for series::CheckError {
    fn exit(&self) -> Exit {
        match self {
            Self::Source(error) | Self::Base(error) => error.exit(),
            Self::Engine(error) => error.exit(),
            Self::Series(_) | Self::Expect(_) | Self::NothingInCommon(_) | Self::Name(_) => {
                Exit::Input
            }
        }
    }

    fn is_fragment(&self) -> bool {
        match self {
            Self::Expect(error) => error.is_fragment(),
            Self::Engine(error) => error.is_fragment(),
            Self::Name(error) => error.is_fragment(),
            _ => true,
        }
    }
}

impl Coded for BisectError {
    fn exit(&self) -> Exit {
        match self {
            Self::Source(error) => error.exit(),
            Self::Engine(error) => error.exit(),
            Self::Build { source, .. } if matches!(**source, BuildError::Failed(_)) => Exit::Build,
            Self::Boot { .. } => Exit::Kernel,
            Self::Build { .. }
            | Self::OneCommit(_)
            | Self::Backwards { .. }
            | Self::Apart { .. }
            | Self::Same(_)
            | Self::BadBase(_)
            | Self::Baseline(_)
            | Self::Name(_)
            | Self::NothingInCommon(_) => Exit::Input,
        }
    }

    fn is_fragment(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_fragment(),
            Self::Name(error) => error.is_fragment(),
            _ => true,
        }
    }
}

impl Coded for SelfcheckError {
    fn exit(&self) -> Exit {
        match self {
            Self::Cell { .. } => Exit::Input,
            Self::Unchanged(_) => Exit::Kernel,
            Self::Engine(error) => error.exit(),
        }
    }

    fn is_fragment(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_fragment(),
            _ => true,
        }
    }
}
