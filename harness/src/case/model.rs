//! A case that has been read and checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use perfsec_wire::step::Action;
use perfsec_wire::{BootMode, Lockdown, Step};

use super::{
    Axes, Circumstances, Condition, Coordinates, ExpectedLine, KnownDifference, Selector,
    Transcript,
};
use crate::grant::Grant;

/// One scenario: its steps, and the expectation of each cell.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: the file's path below the case directory, without `.toml`.
    pub name: String,
    /// The file's path, as the user would write it.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    /// One line that says what the case shows.
    pub title: String,
    /// The documents, commits and source lines behind the expectations.
    pub source: Vec<String>,
    /// The axes on which it is expanded into cells.
    pub axes: Axes,
    /// The mode in which the kernel boots.
    pub boot: BootMode,
    /// Name of the policy to load instead of the run's own.
    pub policy: Option<String>,
    /// True if audit is enabled.
    pub audit: bool,
    /// Lockdown level during the case.
    pub lockdown: Lockdown,
    /// The time that its subject may take, if not the run's limit.
    pub limit: Option<Duration>,
    /// User id of the subject.
    pub uid: u32,
    /// Name of its executable.
    pub comm: String,
    /// Further processes, sorted by name.
    pub processes: Vec<CaseProcess>,
    /// Sysctls to set in addition to `kernel.perf_event_paranoid`.
    pub sysctls: BTreeMap<String, String>,
    /// Steps of the agent, before the subject's.
    pub given: Vec<Step>,
    /// The subject's steps.
    pub steps: Vec<Step>,
    /// Differences between kernels, by the name that expectations use.
    pub when: BTreeMap<String, Condition>,
    /// Kernel messages that contain one of these strings are part of the transcript.
    pub messages: Vec<String>,
    /// True if SYSCALL records are part of the transcript.
    pub syscall_records: bool,
    /// Names of conditions that a kernel must meet, or the case is skipped.
    pub requires: Vec<String>,
    /// The case that provides controls for cells that have none here.
    pub control: Option<OtherCase>,
    /// The expectations; each cell has exactly one.
    pub expects: Vec<Expect>,
}

/// A process that waits while the subject performs its steps.
#[derive(Clone, Debug)]
pub struct CaseProcess {
    /// The name that steps use for it.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// File capabilities on its executable.
    pub grant: Grant,
    /// Type of its context; the level is the subject's.
    pub domain: String,
    /// Steps that it performs before the subject starts.
    pub steps: Vec<Step>,
}

/// A reference to another case.
#[derive(Clone, Debug)]
pub struct OtherCase {
    /// Its name.
    pub name: String,
    /// Where the text names it, in bytes.
    pub span: Range<usize>,
}

/// The expectation of the cells that a selector covers.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The cells.
    pub selector: Selector,
    /// The transcript, with the lines of all kernels.
    pub transcript: Transcript,
    /// Name of the condition on which the kernel is known to differ.
    pub xfail: Option<String>,
    /// The line on which the block begins, from 1.
    pub line: usize,
}

impl Case {
    /// The full name of a cell, which filters match.
    #[must_use]
    pub fn cell_name(&self, at: &Coordinates) -> String {
        format!("{}/{at}", self.name)
    }

    /// The expectation of a cell.
    ///
    /// # Panics
    ///
    /// If the cell does not belong to this case.
    #[must_use]
    pub fn expect(&self, at: &Coordinates) -> &Expect {
        let found = self.expects.iter().find(|expect| expect.selector.selects(at));
        found.expect("complete::check() found an expectation for every cell")
    }

    /// The known difference that an expectation declares with `xfail`, and where it holds.
    #[must_use]
    pub fn known_difference(&self, expect: &Expect) -> Option<(KnownDifference, &Condition)> {
        let name = expect.xfail.as_ref()?;
        let condition = self.when.get(name)?;
        let name = format!("{}:{name}", self.name);
        let reason = condition.reason.clone();
        Some((KnownDifference { name, reason, link: None }, condition))
    }

    /// The reason of the first requirement that a kernel is known not to meet.
    #[must_use]
    pub fn unmet_requirement(&self, kernel: &Circumstances<'_>) -> Option<&str> {
        let mut conditions = self.requires.iter().filter_map(|name| self.when.get(name));
        conditions.find(|it| it.decide(kernel) == Some(false)).map(|condition| &*condition.reason)
    }

    /// Names of the policies that it needs in addition to the run's own.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        let processes = self.processes.iter().flat_map(|process| &process.steps);
        let steps = self.given.iter().chain(&self.steps).chain(processes);
        let loaded = steps.filter_map(|step| match step {
            Step::Agent(Action::LoadPolicy(name)) => Some(name.as_str()),
            _ => None,
        });
        self.policy.as_deref().into_iter().chain(loaded)
    }

    /// The first thing that a cell depends on and that is unknown of this kernel or its machine.
    #[must_use]
    pub fn undecided(&self, at: &Coordinates, kernel: &Circumstances<'_>) -> Option<String> {
        let expect = self.expect(at);
        let guards = expect.transcript.conditions();
        let names = self.requires.iter().chain(&expect.xfail).map(String::as_str).chain(guards);
        let conditions = names.filter_map(|name| self.when.get(name));
        conditions.filter_map(|condition| condition.unknown(kernel)).next()
    }

    /// The expected transcript of a cell on one kernel.
    #[must_use]
    pub fn expected(&self, at: &Coordinates, kernel: &Circumstances<'_>) -> Vec<ExpectedLine> {
        self.expect(at)
            .transcript
            .resolve(|name| self.when.get(name).is_some_and(|condition| condition.holds(kernel)))
    }

    /// The reasons of the conditions that shape a cell's expectation on this kernel: those that hold
    /// and guard lines of its transcript.
    #[must_use]
    pub fn condition_reasons(&self, at: &Coordinates, kernel: &Circumstances<'_>) -> Vec<String> {
        let names = self.expect(at).transcript.conditions();
        let conditions = names.into_iter().filter_map(|name| self.when.get(name));
        conditions.filter(|it| it.holds(kernel)).map(|it| it.reason.clone()).collect()
    }

    /// True if any kernel must refuse something in this cell.
    #[must_use]
    pub fn expects_denial(&self, at: &Coordinates) -> bool {
        self.expect(at).transcript.has_denial()
    }

    /// The control of a cell that expects a denial: the nearest cell of the case in which the
    /// same steps all succeed.
    #[must_use]
    pub fn control(&self, at: &Coordinates) -> Option<Coordinates> {
        if !self.expects_denial(at) {
            return None;
        }
        self.nearest_success(at)
    }

    /// The nearest cell in which nothing is refused.
    #[must_use]
    pub fn nearest_success(&self, at: &Coordinates) -> Option<Coordinates> {
        self.axes
            .coordinates()
            .filter(|other| !self.expects_denial(other))
            .min_by_key(|other| at.distance(other))
    }
}
