//! How a command ends, and the one error that ends it.

use std::error::Error;
use std::process::ExitCode;

use crate::case::LibraryError;
use crate::judge::Verdict;
use crate::kbuild::BuildError;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel::KernelError;
use crate::known::KnownError;
use crate::machines::{Blame, MachineError};
use crate::obtain::ObtainError;
use crate::plan::NotAGlob;
use crate::policy::PolicyError;
use crate::record::{MergeError, RecordError, Run};
use crate::source::{GitError, SourceError};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
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
    /// `git bisect run` is to skip the commit.
    Skip,
    /// `git bisect run` is to stop.
    Stop,
    /// Ended by this signal.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The exit code as a number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Input => 2,
            Self::NotJudged => 3,
            Self::NothingRan => 4,
            Self::Host => 5,
            Self::Kernel => 6,
            Self::Build => 7,
            Self::Skip => 125,
            Self::Stop => 128,
            Self::Signal(number) => 128 + number,
        }
    }

    /// The exit code of a run.
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

/// A command that could not do its work: one error, with its causes, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What went wrong.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// An error that is the input's fault.
    pub fn input(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Input, error: error.into() }
    }

    /// An error that is the host's fault.
    pub fn host(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Host, error: error.into() }
    }

    /// Writes the error and its causes to standard error.
    pub fn print(&self) {
        let text = chain(&*self.error);
        // Mistakes in case files come rendered, each with its own heading.
        let heading = if text.starts_with("error") { "" } else { "error: " };
        anstream::eprintln!("{heading}{text}");
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // An error that shows its source transparently would say it twice.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// Errors of the library are fragments that fit after "cannot".
pub(super) fn cannot(exit: Exit, error: &(dyn Error + Send + Sync + 'static)) -> Failure {
    Failure { exit, error: format!("cannot {}", chain(error)).into() }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        match error {
            // Each mistake comes with its own heading and place.
            LibraryError::Cases(mistakes) => Self::input(mistakes),
            LibraryError::Read { .. } | LibraryError::Empty { .. } => cannot(Exit::Input, &error),
        }
    }
}

impl From<KnownError> for Failure {
    fn from(error: KnownError) -> Self {
        match error {
            KnownError::Mistakes(mistakes) => Self::input(mistakes),
            KnownError::Read { .. } => cannot(Exit::Input, &error),
        }
    }
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Self {
        cannot(Exit::Input, &error)
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let exit = match error {
            PolicyError::NoCompiler(_) | PolicyError::Cache(_) => Exit::Host,
            PolicyError::Unknown { .. }
            | PolicyError::Read { .. }
            | PolicyError::NotAPolicy { .. }
            | PolicyError::Binary { .. }
            | PolicyError::Refused { .. } => Exit::Input,
        };
        cannot(exit, &error)
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let exit =
            if matches!(error, RecordError::Write { .. }) { Exit::Host } else { Exit::Input };
        cannot(exit, &error)
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        let exit = if matches!(error, KernelError::Cache(_)) { Exit::Host } else { Exit::Input };
        cannot(exit, &error)
    }
}

impl From<ObtainError> for Failure {
    fn from(error: ObtainError) -> Self {
        match error {
            ObtainError::Image(error) => error.into(),
            ObtainError::Source(error) => error.into(),
            ObtainError::Build(error) => error.into(),
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let exit = match &error {
            SourceError::Git(GitError::Missing(_) | GitError::Start { .. } | GitError::Full(_))
            | SourceError::Cache(_) => Exit::Host,
            SourceError::Debian(_) | SourceError::Unpack(_) => Exit::Input,
            SourceError::Git(_)
            | SourceError::Read { .. }
            | SourceError::NoTree { .. }
            | SourceError::NotATree { .. }
            | SourceError::Refused { .. }
            | SourceError::NoRevision { .. }
            | SourceError::Partial { .. }
            | SourceError::Dirty { .. } => Exit::Input,
        };
        cannot(exit, &error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let exit = match error {
            BuildError::Source(error) => return error.into(),
            BuildError::Image(error) => return error.into(),
            BuildError::Failed(_) => Exit::Build,
            BuildError::Configure(_) | BuildError::Fragment(_) | BuildError::NotATree(_) => {
                Exit::Input
            }
            BuildError::Missing(_)
            | BuildError::Toolchain(_)
            | BuildError::Start(_)
            | BuildError::Full(_)
            | BuildError::Cache(_) => Exit::Host,
            // The signal that came has the last word.
            BuildError::Interrupted(_) => Exit::Host,
        };
        cannot(exit, &error)
    }
}

impl From<NotAGlob> for Failure {
    fn from(error: NotAGlob) -> Self {
        Self::input(error)
    }
}

impl From<FragmentError> for Failure {
    fn from(error: FragmentError) -> Self {
        cannot(Exit::Input, &error)
    }
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Self {
        let exit = match error.blame {
            Blame::Kernel => Exit::Kernel,
            Blame::Machine | Blame::Host => Exit::Host,
        };
        cannot(exit, &error)
    }
}

impl From<crate::cache::CacheError> for Failure {
    fn from(error: crate::cache::CacheError) -> Self {
        cannot(Exit::Host, &error)
    }
}
