//! Exit codes, and the error that ends a command. Library errors get their exit code here only.

use std::error::Error;
use std::process::ExitCode;

use crate::bisect::BisectError;
use crate::cache::CacheError;
use crate::case::LibraryError;
use crate::causes::with_causes;
use crate::compare::{BaselineError, NothingInCommon};
use crate::coverage::{self, PointsError};
use crate::debian::DebianError;
use crate::engine::{EngineError, KernelSpecError, TerminalError};
use crate::guest::GuestError;
use crate::howto::HowtoError;
use crate::judge::Verdict;
use crate::kbuild::BuildError;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel::{KernelError, RunningError};
use crate::known::KnownError;
use crate::machines::site::{SiteError, SiteFileError, UnknownSite};
use crate::machines::ssh::SshError;
use crate::machines::{Blame, CannotRun, MachineError};
use crate::plan::NotAGlob;
use crate::policy::PolicyError;
use crate::policy::extend::ExtendError;
use crate::record::{Digest, MergeError, RecordError};
use crate::selfcheck::mutants::{CampaignError, JournalError, ScopeError, SurvivorsError};
use crate::selfcheck::{MutationError, SelfcheckError};
use crate::series::{self, ExpectError, SeriesError};
use crate::source::{GitError, SourceError};
use crate::survey::{OperationsError, SurveyFileError};
use crate::text::{Text, eprint, line};

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
    /// A cell behaved differently on repetition.
    Flaky,
    /// `git bisect run` must skip the commit.
    Skip,
    /// `git bisect run` must stop.
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
            Self::Flaky => 8,
            Self::Skip => 125,
            Self::Stop => 128,
            Self::Signal(number) => 128 + number,
        }
    }

    /// The exit code after a run.
    pub fn of_run(run: &Digest) -> Self {
        let counts = run.counts();
        let any = |wanted: fn(Verdict) -> bool| counts.iter().any(|(got, _)| wanted(got));
        if any(|verdict| verdict == Verdict::Fail) {
            Self::Failed
        } else if run.lanes().any(|lane| lane.refused().is_some()) {
            Self::Kernel
        } else if any(|verdict| verdict == Verdict::Flaky) {
            Self::Flaky
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
        eprint(&error_text(&with_causes(&*self.error)));
    }
}

/// An error for a person. What it quotes cannot pass for a message of its own: only the first line
/// begins at the margin.
fn error_text(error: &str) -> Text {
    // Mistakes in case files are rendered, each with a heading and the line that it is about.
    let is_place = |line: &str| line.trim_start().starts_with("--> ");
    let rendered = error.starts_with("error: ") && error.lines().skip(1).any(is_place);
    let mut text = Text::new();
    if rendered {
        text.block(error.trim_end()).end();
        return text;
    }
    for (number, line) in error.lines().enumerate() {
        let lead = match number {
            0 => "error: ",
            _ if line.starts_with(' ') || line.is_empty() => "",
            _ => "  ",
        };
        line!(text, "{lead}{line}");
    }
    text
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
    ExtendError,
    FragmentError,
    KernelSpecError,
    MergeError,
    MutationError,
    NothingInCommon,
    PointsError,
    ScopeError,
    SeriesError,
    SurvivorsError,
    OperationsError,
    SurveyFileError,
    coverage::ScanError,
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
            Self::Config(_) => Exit::Input,
            Self::Fragment(error) => error.exit(),
            Self::Name(error) => error.exit(),
            Self::NoCell => Exit::NothingRan,
            Self::NoKernel | Self::NoPolicy | Self::NoContext { .. } | Self::Foreign { .. } => {
                Exit::Input
            }
            // The signal that came decides.
            Self::Interrupted | Self::ReadRecord { .. } | Self::Cache(_) => Exit::Host,
        }
    }

    fn is_fragment(&self) -> bool {
        match self {
            Self::Name(error) => error.is_fragment(),
            Self::NoCell | Self::NoKernel | Self::NoPolicy | Self::Interrupted => false,
            _ => true,
        }
    }
}

impl Coded for SshError {
    fn exit(&self) -> Exit {
        match self {
            Self::CannotRun(error) => error.exit(),
            // The signal that came decides about an interrupt.
            Self::NoProgram(_)
            | Self::Unreachable { .. }
            | Self::NoAgent { .. }
            | Self::Read { .. }
            | Self::Kernel { .. }
            | Self::Interrupted => Exit::Host,
        }
    }

    fn is_fragment(&self) -> bool {
        !matches!(self, Self::Interrupted)
    }
}

impl Coded for SiteFileError {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        matches!(self, Self::Read { .. })
    }
}

impl Coded for UnknownSite {
    fn exit(&self) -> Exit {
        Exit::Input
    }

    fn is_fragment(&self) -> bool {
        false
    }
}

impl Coded for SiteError {
    fn exit(&self) -> Exit {
        Exit::Host
    }
}

impl Coded for HowtoError {
    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Steps { .. } => Exit::Input,
            Self::Script(_) | Self::Knowledge(_) => Exit::Host,
            Self::Terminal(TerminalError::Engine(error)) => error.exit(),
            // The signal that came decides.
            Self::Terminal(TerminalError::Interrupted) => Exit::Host,
            Self::Terminal(_) => Exit::Kernel,
        }
    }

    fn is_fragment(&self) -> bool {
        !matches!(self, Self::Terminal(TerminalError::Interrupted))
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
            // The signal that came decides.
            Self::NoCompiler(_)
            | Self::NoSemodule(_)
            | Self::Tools(_)
            | Self::Interrupted { .. }
            | Self::Cache(_) => Exit::Host,
            Self::Extend(_) => Exit::NothingRan,
            Self::Name(_)
            | Self::Debian(_)
            | Self::Package { .. }
            | Self::Rpm { .. }
            | Self::NoPolicy { .. }
            | Self::Several { .. }
            | Self::Twice { .. }
            | Self::TooNew { .. }
            | Self::ModuleName { .. }
            | Self::Semodule { .. }
            | Self::UnknownBoolean { .. }
            | Self::Unknown { .. }
            | Self::Read { .. }
            | Self::NotAPolicy { .. }
            | Self::Binary { .. }
            | Self::Refused { .. }
            | Self::Table(_) => Exit::Input,
        }
    }
}

impl Coded for GuestError {
    fn exit(&self) -> Exit {
        match self {
            Self::Debian(DebianError::UnknownSuite { .. })
            | Self::NotWhole { .. }
            | Self::NoPackage { .. } => Exit::Input,
            // The signal that came decides about an interrupted build.
            Self::Debian(_)
            | Self::Tools(_)
            | Self::NoNamespaces { .. }
            | Self::Failed { .. }
            | Self::Incomplete { .. }
            | Self::Damaged { .. }
            | Self::Run(_)
            | Self::Interrupted { .. }
            | Self::Cache(_) => Exit::Host,
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
            | Self::Toolchain(_)
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

impl Coded for CannotRun {
    fn exit(&self) -> Exit {
        Exit::NothingRan
    }
}

impl Coded for RunningError {
    fn exit(&self) -> Exit {
        Exit::NothingRan
    }
}

impl Coded for CacheError {
    fn exit(&self) -> Exit {
        if matches!(self, Self::Limit { .. }) { Exit::Input } else { Exit::Host }
    }
}

impl Coded for series::FetchError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoB4(_) | Self::Run { .. } => Exit::Host,
            Self::Failed { .. } | Self::NoMailbox { .. } | Self::Read(_) => Exit::Input,
        }
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
            Self::Boot { .. } | Self::Config { .. } => Exit::Kernel,
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

impl Coded for JournalError {
    fn exit(&self) -> Exit {
        match self {
            Self::Write { .. } => Exit::Host,
            Self::Exists(_) | Self::Read { .. } | Self::Line { .. } | Self::Format { .. } => {
                Exit::Input
            }
        }
    }
}

impl Coded for CampaignError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unmutated(_) => Exit::Kernel,
            Self::Unknown(_) => Exit::Input,
            Self::Journal(error) => error.exit(),
            Self::Print(_) => Exit::Host,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[Verdict::Flaky], Exit::Flaky)]
    #[case(&[Verdict::Flaky, Verdict::Fail], Exit::Failed)]
    #[case(&[Verdict::Flaky, Verdict::Error], Exit::Flaky)]
    #[case(&[Verdict::Error], Exit::NotJudged)]
    #[case(&[], Exit::Success)]
    fn the_worst_cell_decides_the_exit_code(#[case] verdicts: &[Verdict], #[case] exit: Exit) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/different.jsonl");
        let mut run = crate::record::read(&path).unwrap().run;
        let cells = &mut run.lanes[0].cells;
        cells.iter_mut().for_each(|cell| cell.judgement.verdict = Verdict::Pass);
        std::iter::zip(cells, verdicts).for_each(|(cell, it)| cell.judgement.verdict = *it);
        run.lanes.truncate(1);
        run.started.cells = run.cells().count();
        assert_eq!(Exit::of_run(&Digest::of(&run)), exit);
    }

    #[rstest]
    #[case::quoted(
        "cannot read a\nerror: b\r\u{9b}2J",
        "error: cannot read a\n  error: b\\r\\u{9b}2J\n"
    )]
    #[case::indented("lacks:\n  make\n\n  gcc", "error: lacks:\n  make\n\n  gcc\n")]
    #[case::rendered("error: no\n --> a.toml:1\n", "error: no\n --> a.toml:1\n")]
    #[case::rendered_far_down("error: no\n  --> a.toml:10", "error: no\n  --> a.toml:10\n")]
    #[case::that_begins_so("errors\nLinux 9", "error: errors\n  Linux 9\n")]
    fn only_the_first_line_of_an_error_is_at_the_margin(#[case] error: &str, #[case] text: &str) {
        assert_eq!(error_text(error).plain(), text);
    }
}
