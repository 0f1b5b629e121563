//! A case that has been read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use perfsec_wire::step::Action;
use perfsec_wire::{BootMode, Lockdown, Step};

use super::{
    Axes, Circumstances, Condition, Coordinates, GuardedTranscript, KnownDifference, Level,
    Selector, Setting,
};
use crate::asks::{
    Evaluation, Functions, Model, OwnPolicies, SecurityServer, Situation, StepQuestions, evaluate,
    guard_conditions,
};
use crate::grant::Grant;
use crate::policy;
use crate::transcript::{ExpectedTranscript, RecordType};

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
    /// The questions of each step; `None` if every expectation is explicit.
    pub questions: Option<Vec<StepQuestions>>,
    /// The kernel and the policies, as far as evaluation needs them.
    pub(crate) model: Model,
    /// The cells in which any kernel refuses something.
    pub(crate) refused: BTreeSet<Coordinates>,
    /// Differences between kernels, by the name that expectations use.
    pub when: BTreeMap<String, Condition>,
    /// Kernel messages that contain one of these strings are part of the transcript.
    pub messages: Vec<String>,
    /// Records of these types are part of the transcript.
    pub records: Vec<RecordType>,
    /// Names of conditions that a kernel must meet, or the case is skipped.
    pub requires: Vec<String>,
    /// The reason why its results hold under our policies only.
    pub only_ours: Option<String>,
    /// The reason why no cell of it can run.
    pub unfit: Option<String>,
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

/// The expectation of a cell on one kernel under one policy.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The transcript.
    pub transcript: ExpectedTranscript,
    /// Names of the conditions that shaped it.
    conditions: BTreeSet<String>,
}

/// The expectation of the cells that a selector covers.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The cells.
    pub selector: Selector,
    /// The transcript, with the lines of all kernels.
    pub transcript: GuardedTranscript,
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

    /// The explicit expectation of a cell; `None` if it is computed.
    #[must_use]
    pub fn expect(&self, at: &Coordinates) -> Option<&Expect> {
        self.expects.iter().find(|expect| expect.selector.selects(at))
    }

    /// The line of the file on which the expectation of a cell begins, from 1.
    #[must_use]
    pub fn line_of(&self, at: &Coordinates) -> usize {
        let first_step = || self.questions.as_ref()?.first().map(|step| step.line);
        self.expect(at).map(|expect| expect.line).or_else(first_step).unwrap_or(1)
    }

    /// The condition with this name, of the case or shared by all.
    #[must_use]
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.when.get(name).or_else(|| self.model.functions.conditions().get(name))
    }

    /// The known difference that an expectation declares with `xfail`, and where it holds.
    #[must_use]
    pub fn known_difference(&self, expect: &Expect) -> Option<(KnownDifference, &Condition)> {
        let name = expect.xfail.as_ref()?;
        let condition = self.condition(name)?;
        let name = format!("{}:{name}", self.name);
        let reason = condition.reason.clone();
        Some((KnownDifference { name, reason, link: None }, condition))
    }

    /// The reason why it cannot run, or of the first requirement that a kernel is known not to meet.
    #[must_use]
    pub fn unmet_requirement(&self, kernel: &Circumstances<'_>) -> Option<&str> {
        let mut conditions = self.requires.iter().filter_map(|name| self.condition(name));
        let mut unmet = || conditions.find(|it| it.decide(kernel) == Some(false));
        self.unfit.as_deref().or_else(|| unmet().map(|condition| &*condition.reason))
    }

    /// Its steps: those that prepare a cell, the subject's, and those of further processes.
    pub fn every_step(&self) -> impl Iterator<Item = &Step> {
        let processes = self.processes.iter().flat_map(|process| &process.steps);
        self.given.iter().chain(&self.steps).chain(processes)
    }

    /// Names of the policies that it needs in addition to the run's own.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        let steps = self.every_step();
        let loaded = steps.filter_map(|step| match step {
            Step::Agent(Action::LoadPolicy(name)) => Some(name.as_str()),
            _ => None,
        });
        self.policy.as_deref().into_iter().chain(loaded)
    }

    /// The first thing that a cell depends on and that is unknown of this kernel or its machine.
    #[must_use]
    pub fn undecided(
        &self,
        at: &Coordinates,
        expectation: &Expectation,
        kernel: &Circumstances<'_>,
    ) -> Option<String> {
        self.unknowns(at, expectation, kernel).into_iter().next()
    }

    /// All that a cell depends on and that is unknown of this kernel or its machine.
    #[must_use]
    pub fn unknowns(
        &self,
        at: &Coordinates,
        expectation: &Expectation,
        kernel: &Circumstances<'_>,
    ) -> Vec<String> {
        let xfail = self.expect(at).and_then(|expect| expect.xfail.as_ref());
        let names = self.requires.iter().chain(xfail).chain(&expectation.conditions);
        let conditions = names.filter_map(|name| self.condition(name));
        conditions.filter_map(|condition| condition.unknown(kernel)).collect()
    }

    /// The expectation of a cell on one kernel under one policy.
    #[must_use]
    pub fn expectation(&self, at: &Coordinates, setting: &Setting<'_>) -> Expectation {
        match self.expect(at) {
            Some(expect) => Expectation {
                transcript: expect.transcript.resolve(self.holds(setting)),
                conditions: expect.transcript.conditions().into_iter().map(str::to_owned).collect(),
            },
            None => {
                let found = self.evaluate(at, setting, &self.holds(setting));
                Expectation { transcript: found.transcript, conditions: found.conditions }
            }
        }
    }

    /// The expected transcript of a cell on one kernel under one policy.
    #[must_use]
    pub fn expected(&self, at: &Coordinates, setting: &Setting<'_>) -> ExpectedTranscript {
        self.expectation(at, setting).transcript
    }

    /// The computed transcript of a cell, with the checks behind it; `None` if its expectation is
    /// explicit.
    #[must_use]
    pub fn evaluation(&self, at: &Coordinates, setting: &Setting<'_>) -> Option<Evaluation> {
        let computed = self.expect(at).is_none() && self.questions.is_some();
        computed.then(|| self.evaluate(at, setting, &self.holds(setting)))
    }

    /// The same case, with the full list of `functions.toml` for each step that opens an event,
    /// which says why the kernel makes a check. A call that fails for another reason than a refusal
    /// makes only the first checks of the list.
    #[must_use]
    pub fn with_listed_opens(&self) -> Self {
        let mut case = self.clone();
        for (step, questions) in case.steps.iter().zip(case.questions.iter_mut().flatten()) {
            if matches!(step, Step::PerfEventOpen(_)) {
                *questions = questions.with_function("perf_event_open");
            }
        }
        case
    }

    /// The answers of the policies that a cell may load.
    #[must_use]
    pub fn server<'a>(&'a self, setting: &Setting<'a>) -> &'a dyn SecurityServer {
        setting.answers.unwrap_or(&*self.model.policies)
    }

    /// Tells if the condition with a name holds on this kernel.
    fn holds(&self, setting: &Setting<'_>) -> impl Fn(&str) -> bool {
        |name: &str| self.condition(name).is_some_and(|it| it.holds(&setting.kernel))
    }

    /// The conditions that the case can name, with their names: its own, then those of
    /// `functions.toml` on which it depends.
    pub fn conditions(&self) -> impl Iterator<Item = (&str, &Condition)> {
        let own = self.when.iter().map(|(name, condition)| (name.as_str(), condition));
        let asked = self.asked_conditions();
        let of_lists = self
            .model
            .functions
            .conditions()
            .iter()
            .filter(move |(name, _)| asked.contains(*name) || self.requires.contains(*name));
        own.chain(of_lists.map(|(name, condition)| (name.as_str(), condition)))
    }

    /// The reasons of the conditions that hold on this kernel and shape an expectation.
    #[must_use]
    pub fn condition_reasons(
        &self,
        expectation: &Expectation,
        kernel: &Circumstances<'_>,
    ) -> Vec<String> {
        let conditions = expectation.conditions.iter().filter_map(|name| self.condition(name));
        conditions.filter(|it| it.holds(kernel)).map(|it| it.reason.clone()).collect()
    }

    /// Computes what a cell sees if these conditions hold.
    fn evaluate(
        &self,
        at: &Coordinates,
        setting: &Setting<'_>,
        holds: &dyn Fn(&str) -> bool,
    ) -> Evaluation {
        let questions = self.questions.as_deref().unwrap_or_default();
        self.evaluate_questions(questions, at, setting, holds)
    }

    /// Computes what a cell sees of its first steps if they ask these questions.
    #[must_use]
    pub fn evaluation_with(
        &self,
        questions: &[StepQuestions],
        at: &Coordinates,
        setting: &Setting<'_>,
    ) -> Evaluation {
        self.evaluate_questions(questions, at, setting, &self.holds(setting))
    }

    fn evaluate_questions(
        &self,
        questions: &[StepQuestions],
        at: &Coordinates,
        setting: &Setting<'_>,
        holds: &dyn Fn(&str) -> bool,
    ) -> Evaluation {
        let policy = self.policy.as_deref().or(setting.policy).unwrap_or(policy::DEFAULT);
        let restricted = holds(Level::RESTRICTED);
        let suid_dumpable = self.sysctls.get("fs.suid_dumpable").and_then(|it| it.parse().ok());
        let situation = Situation {
            domain: &at.domain,
            uid: self.uid,
            grant: at.grant.0,
            comm: &self.comm,
            mode: at.mode,
            level: at.paranoid.value(restricted),
            suid_dumpable: suid_dumpable.unwrap_or(0),
            boot: self.boot,
            policy,
            server: self.server(setting),
            processes: &self.processes,
            given: &self.given,
            before: &[],
            lockdown: self.lockdown,
            free_pages: None,
            whole: false,
            functions: &self.model.functions,
            holds,
        };
        let mut evaluation = evaluate(&self.steps, questions, &situation);
        if at.paranoid == Level::Default {
            evaluation.conditions.insert(Level::RESTRICTED.to_owned());
        }
        evaluation
    }

    /// The answers of our own policies.
    #[must_use]
    pub fn own_policies(&self) -> &OwnPolicies {
        &self.model.policies
    }

    /// The lists of kernel functions that its questions can name.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.model.functions
    }

    /// Names of the conditions on which its questions depend.
    pub(super) fn asked_conditions(&self) -> BTreeSet<String> {
        let functions = &self.model.functions;
        let of_syscalls = self.steps.iter().filter_map(|step| functions.syscall(step.name()));
        let own = self.questions.iter().flatten().flat_map(|step| &step.asks);
        let mut names = functions.conditions_of(own.chain(of_syscalls.flat_map(|list| &list.asks)));
        if self.axes.paranoid.contains(&Level::Default) {
            names.insert(Level::RESTRICTED.to_owned());
        }
        let returns = self.questions.iter().flatten().flat_map(|step| &step.returns);
        names.extend(guard_conditions(returns.flat_map(|returned| &returned.guards)));
        names
    }

    /// The cells in which any kernel refuses something under the policy of a setting.
    pub(super) fn refused_cells(&self, setting: &Setting<'_>) -> BTreeSet<Coordinates> {
        let names = self.asked_conditions();
        let refused = |at: &Coordinates| match self.expect(at) {
            Some(expect) => expect.transcript.has_denial(),
            None => (0..1u32 << names.len()).any(|combination| {
                let holds = |name: &str| {
                    let at = names.iter().position(|known| known == name);
                    at.is_some_and(|at| combination >> at & 1 == 1)
                };
                self.evaluate(at, setting, &holds).refuses
            }),
        };
        self.axes.coordinates().filter(refused).collect()
    }

    /// True if any kernel must refuse something in this cell.
    #[must_use]
    pub fn expects_denial(&self, at: &Coordinates) -> bool {
        self.refused.contains(at)
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
