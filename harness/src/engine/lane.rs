//! A lane: a kernel under a policy, and its cells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use perfsec_wire::machine::MachineFacts;
use perfsec_wire::step::{Action, Step};
use perfsec_wire::{BootMode, CellOutcome, Facts, PolicyAnswers};

use super::earlier::EarlierLane;
use super::limits::{self, Limits};
use super::schedule::CellTraits;
use crate::asks::SecurityServer;
use crate::case::{Circumstances, KnownDifference, Setting};
use crate::judge::{Judgement, Verdict, judge, judge_answers};
use crate::kernel::{Config, Kernel};
use crate::known::KnownDifferences;
use crate::machines::{Machinery, Pool};
use crate::plan::PlannedCell;
use crate::policy::{self, Policies};
use crate::transcript::FittedTranscript;

/// A kernel under a policy, and its cells.
pub struct LanePlan {
    /// Index of the lane in the run.
    pub lane: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// Its boot mode.
    pub boot: BootMode,
    /// The policies.
    pub policies: Policies,
    /// The policy's answers, in a lane whose policy is not ours.
    pub server: Option<Arc<dyn SecurityServer + Send + Sync>>,
    /// The cells, controls before the cells that need them.
    pub cells: Arc<Vec<PlannedCell>>,
    /// Known differences between kernels and the cases.
    pub known: Arc<KnownDifferences>,
    /// The machines that boot the kernel.
    pub pool: Arc<dyn Pool>,
    /// In a run that measures coverage: the functions whose decision points the agent traces.
    pub coverage: Option<Vec<String>>,
    /// The results of an earlier run that this one completes.
    pub earlier: EarlierLane,
    /// The end of the kernel's lanes before all of their cells have run.
    pub until_broken: Option<UntilBroken>,
}

/// Ends all lanes of a kernel when a guest dies by its fault, when one of these cells fails, or when
/// [`ERRORS`](Self::ERRORS) of them cannot be carried out. Such a kernel is tried once, so that its
/// guests are neither restored nor saved.
#[derive(Clone, Debug)]
pub struct UntilBroken {
    /// Names of the cells. Others may fail.
    pub cells: Arc<BTreeSet<String>>,
    /// Ranks of cells by name: those with the lowest run first.
    pub ranks: Arc<BTreeMap<String, usize>>,
}

impl UntilBroken {
    /// Cells that cannot be carried out, for example because the subject hangs. One may be the fault
    /// of a slow host.
    pub const ERRORS: usize = 3;
}

impl LanePlan {
    /// True if its guests may be restored from snapshots, and saved. Nobody needs those of another
    /// set of traced functions, or of a kernel that is tried once.
    pub(super) fn uses_snapshots(&self) -> bool {
        self.coverage.is_none() && self.until_broken.is_none()
    }

    /// True if its cells presume that the policy defines all that is about perf. One that is only asked
    /// about its policy takes it as it is.
    pub(super) fn presumes_our_policy(&self) -> bool {
        self.server.is_none() && self.cells.iter().any(|cell| cell.asks.is_empty())
    }

    /// True if the other lane has the same kernel.
    pub(super) fn shares_kernel(&self, other: &Self) -> bool {
        self.kernel.boots_like(&other.kernel)
    }

    /// The machinery that boots it, with the kernel's own parameters.
    pub(super) fn machinery(&self) -> Machinery {
        let mut machinery = self.pool.describe(self.boot);
        for parameter in &self.kernel.parameters {
            machinery.parameters.push(' ');
            machinery.parameters.push_str(parameter);
        }
        machinery
    }

    /// The traits of its cells, in order.
    pub(super) fn traits(&self) -> Vec<CellTraits> {
        let mut cases: Vec<&str> = self.cells.iter().map(|cell| cell.case.name.as_str()).collect();
        cases.sort_unstable();
        cases.dedup();
        let traits = |cell: &PlannedCell| {
            let case = &cell.case;
            let loads = |step: &&Step| matches!(step, Step::Agent(Action::LoadPolicy(_)));
            CellTraits {
                case: cases.binary_search(&case.name.as_str()).unwrap_or_default(),
                lockdown: case.lockdown,
                ends_guest: cell.ends_guest(),
                has_control: cell.control.is_some(),
                policy: case.policy.clone(),
                loads: case.given.iter().chain(&case.steps).filter(loads).count(),
            }
        };
        self.cells.iter().map(traits).collect()
    }

    /// The circumstances of a cell, with what a guest told: its configuration, if none came with the
    /// kernel, and its machine.
    pub(super) fn circumstances<'a>(
        &'a self,
        config: Option<&'a Config>,
        machine: Option<&'a MachineFacts>,
    ) -> Circumstances<'a> {
        let kernel = Circumstances::from(&self.kernel);
        Circumstances { config: kernel.config.or(config), machine, ..kernel }
    }

    /// The setting in which expectations are computed.
    pub(super) fn setting<'a>(&'a self, circumstances: &Circumstances<'a>) -> Setting<'a> {
        let answers = self.server.as_deref().map(|server| server as _);
        let policy = Some(self.policies.own.name.as_str());
        Setting { policy, answers, ..Setting::from(*circumstances) }
    }

    /// The time that a cell's subject may take.
    pub(super) fn cell_limit(&self, index: usize, limits: Limits, debug: bool) -> Duration {
        let limit = self.cells[index].case.limit.unwrap_or(limits.cell);
        if debug { limit * limits::DEBUG_FACTOR } else { limit }
    }

    /// Judges a cell by itself, whatever became of its control. `context` is the subject's.
    pub(super) fn judge(
        &self,
        index: usize,
        outcome: &CellOutcome,
        context: &str,
        facts: &Facts,
        circumstances: &Circumstances<'_>,
    ) -> Judgement {
        let cell = &self.cells[index];
        let setting = self.setting(circumstances);
        // Only the guest tells some of what requirements and guards name.
        let unmet = cell.case.unmet_requirement(circumstances).map(str::to_owned);
        let expectation = cell.case.expectation(&cell.at, &setting);
        let undecided = || cell.case.undecided(&cell.at, &expectation, circumstances);
        if let Some(reason) = unmet.or_else(undecided) {
            return Judgement::unseen(Verdict::Skip, reason, FittedTranscript::default());
        }
        let judgement = match outcome {
            CellOutcome::Answered(answers) if !cell.asks.is_empty() => {
                self.judge_answers(cell, answers)
            }
            CellOutcome::Observed(_) if !cell.asks.is_empty() => {
                let reason = "the agent did not ask the policy";
                Judgement::unseen(Verdict::Error, reason, FittedTranscript::default())
            }
            outcome => judge(cell, context, &expectation.transcript, outcome, facts),
        };
        match self.known_difference(cell, circumstances, &judgement) {
            Some(known) => judgement.with_known_difference(known),
            None => judgement,
        }
    }

    /// Judges the answers of the policy of a cell.
    fn judge_answers(&self, cell: &PlannedCell, answers: &PolicyAnswers) -> Judgement {
        let policy = self.policies.get(cell.case.policy.as_deref());
        match policy::vectors(&cell.asks, answers) {
            Ok(vectors) => {
                // Its table is not about the policy of such a lane.
                let ours = self.server.is_none();
                let table = cell.case.own_policies().table(&policy.name).filter(|_| ours);
                judge_answers(table, &cell.asks, answers, &vectors)
            }
            Err(why) => {
                let reason = format!("the agent's answers are no policy's: {why}");
                Judgement::unseen(Verdict::Error, reason, FittedTranscript::default())
            }
        }
    }

    /// The known difference that applies to a cell: one it shows, or one that is gone.
    fn known_difference(
        &self,
        cell: &PlannedCell,
        kernel: &Circumstances<'_>,
        judgement: &Judgement,
    ) -> Option<KnownDifference> {
        let (name, policy) = (cell.name(), &self.policies.own.name);
        let listed = match judgement.verdict {
            Verdict::Fail => self.known.find_explaining(&name, kernel, policy, &judgement.observed),
            _ => self.known.find_affecting(&name, kernel, policy),
        };
        let of_case =
            cell.case.expect(&cell.at).and_then(|expect| cell.case.known_difference(expect));
        let of_case = of_case.filter(|(_, condition)| condition.holds(kernel));
        of_case.map(|(known, _)| known).or_else(|| listed.cloned())
    }
}
