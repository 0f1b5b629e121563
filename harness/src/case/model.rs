//! A case that has been read and checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use perfsec_wire::{BootMode, Lockdown, Step};

use super::{Axes, Circumstances, Condition, Coordinates, Expected, Selector, Transcript};
use crate::grant::Grant;
use crate::judge::Known;

/// One scenario: steps, and what each cell must see.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: the file's path below the case directory, without `.toml`.
    pub name: String,
    /// The file, as the user would name it.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    /// What it shows, in one line.
    pub title: String,
    /// The documents, commits and source lines that promise what is expected.
    pub source: Vec<String>,
    /// The cells it is expanded into.
    pub axes: Axes,
    /// What the kernel is booted as.
    pub boot: BootMode,
    /// The policy that must be loaded, if it is not the one that the run asks for.
    pub policy: Option<String>,
    /// Whether audit is enabled.
    pub audit: bool,
    /// The lockdown that must be in force.
    pub lockdown: Lockdown,
    /// User id of the subject.
    pub uid: u32,
    /// Name of its executable.
    pub comm: String,
    /// Processes beside the subject, in the order of their names.
    pub processes: Vec<CaseProcess>,
    /// Sysctls besides `kernel.perf_event_paranoid`.
    pub sysctls: BTreeMap<String, String>,
    /// Steps of the agent that precede the subject's.
    pub given: Vec<Step>,
    /// The subject's steps.
    pub steps: Vec<Step>,
    /// Differences between kernels, by the name that expectations use.
    pub when: BTreeMap<String, Condition>,
    /// Kernel messages that hold one of these are part of the transcript.
    pub messages: Vec<String>,
    /// SYSCALL records are part of the transcript.
    pub syscall_records: bool,
    /// Names of conditions without which the case says nothing about a kernel.
    pub requires: Vec<String>,
    /// The case that has the controls of cells that have none in their own.
    pub control: Option<OtherCase>,
    /// What must be seen; every cell has exactly one.
    pub expects: Vec<Expect>,
}

/// A process that stands still while the subject performs its steps.
#[derive(Clone, Debug)]
pub struct CaseProcess {
    /// What steps call it.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// File capabilities on its executable.
    pub grant: Grant,
    /// Type of its context; the level is the subject's.
    pub domain: String,
    /// What it does before.
    pub steps: Vec<Step>,
}

/// Another case, by name, and where it is named.
#[derive(Clone, Debug)]
pub struct OtherCase {
    /// Its name.
    pub name: String,
    /// Bytes of the text that name it.
    pub span: Range<usize>,
}

/// What the cells that a selector names must see.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Which cells.
    pub selector: Selector,
    /// What they must see, for every kernel.
    pub transcript: Transcript,
    /// Name of the condition under which the kernel is known to differ.
    pub xfail: Option<String>,
    /// Line of the file in which the block begins, from 1.
    pub line: usize,
}

impl Case {
    /// The full name of a cell: what filters match.
    #[must_use]
    pub fn cell_name(&self, at: &Coordinates) -> String {
        format!("{}/{at}", self.name)
    }

    /// What a cell must see.
    ///
    /// # Panics
    ///
    /// When the cell is not of this case.
    #[must_use]
    pub fn expect(&self, at: &Coordinates) -> &Expect {
        let found = self.expects.iter().find(|expect| expect.selector.selects(at));
        found.expect("every cell has an expectation: checked when the file was read")
    }

    /// The difference that an expectation is known to meet, and on which kernels.
    #[must_use]
    pub fn known(&self, expect: &Expect) -> Option<(Known, &Condition)> {
        let name = expect.xfail.as_ref()?;
        let condition = self.when.get(name)?;
        let name = format!("{}:{name}", self.name);
        Some((Known { name, reason: condition.reason.clone(), link: None }, condition))
    }

    /// Why the case cannot be run on a kernel, if it cannot.
    #[must_use]
    pub fn unmet(&self, kernel: &Circumstances<'_>) -> Option<&str> {
        let mut conditions = self.requires.iter().filter_map(|name| self.when.get(name));
        conditions.find(|condition| !condition.holds(kernel)).map(|condition| &*condition.reason)
    }

    /// What a cell must see on one kernel: the concrete transcript.
    #[must_use]
    pub fn expected(&self, at: &Coordinates, kernel: &Circumstances<'_>) -> Vec<Expected> {
        self.expect(at)
            .transcript
            .resolve(|name| self.when.get(name).is_some_and(|condition| condition.holds(kernel)))
    }

    /// Why a cell must see on this kernel what it need not see on every one: the reasons of the conditions
    /// that hold and that lines of its expectation depend on.
    #[must_use]
    pub fn because(&self, at: &Coordinates, kernel: &Circumstances<'_>) -> Vec<String> {
        let names = self.expect(at).transcript.conditions();
        let conditions = names.into_iter().filter_map(|name| self.when.get(name));
        conditions.filter(|it| it.holds(kernel)).map(|it| it.reason.clone()).collect()
    }

    /// Whether a cell expects the kernel to refuse something, on any kernel.
    #[must_use]
    pub fn expects_denial(&self, at: &Coordinates) -> bool {
        self.expect(at).transcript.has_denial()
    }

    /// The control of a cell that expects a denial: the nearest cell of the case in which the same
    /// steps all succeed.
    #[must_use]
    pub fn control(&self, at: &Coordinates) -> Option<Coordinates> {
        if !self.expects_denial(at) {
            return None;
        }
        self.nearest_success(at)
    }

    /// The cell nearest to this one in which nothing is refused.
    #[must_use]
    pub fn nearest_success(&self, at: &Coordinates) -> Option<Coordinates> {
        self.axes
            .coordinates()
            .filter(|other| !self.expects_denial(other))
            .min_by_key(|other| at.distance(other))
    }
}
