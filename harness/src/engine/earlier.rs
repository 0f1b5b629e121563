//! Results that a run takes over from an earlier one, so that only the others run.

use std::collections::BTreeSet;

use super::{EngineError, LanePlan, Suite};
use crate::judge::Verdict;
use crate::record::{CellResult, Death, LaneAnswers, LaneReady, LaneRun, Run, RunStarted};

/// The results of an earlier run that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The results of all cells that ran: an interrupted or killed run goes on where it stopped.
    Results,
    /// The passes, except those of controls whose cells run again.
    Passes,
}

/// The part of an earlier run that is about one lane.
#[derive(Clone, Debug, Default)]
pub struct EarlierLane {
    /// Number of its boots.
    pub boots: usize,
    /// Its boots that became ready.
    pub ready: Vec<LaneReady>,
    /// Its boots that died.
    pub deaths: Vec<Death>,
    /// The results that are kept.
    pub cells: Vec<CellResult>,
    /// The answers of policies that belong to kept results.
    pub answers: Vec<LaneAnswers>,
}

/// Takes the results of `run` over into `plans`, which must plan the same cells.
///
/// # Errors
///
/// If the run was made by another perfsec, of other cases, or on other kernels.
pub fn take_over(
    run: Run,
    keep: Keep,
    suite: &Suite,
    plans: &mut [LanePlan],
) -> Result<(), EngineError> {
    let differs = |what: &str| EngineError::Foreign { what: what.to_owned() };
    let now = RunStarted::now(0, run.started.asked.clone());
    if (run.started.perfsec, run.started.agent) != (now.perfsec, now.agent) {
        return Err(differs("was made by another version of perfsec"));
    }
    if run.started.asked.cases_sha256 != suite.library.sha256() {
        return Err(differs("is about other cases"));
    }
    for lane in run.lanes {
        let plan = plans.iter_mut().find(|plan| {
            let started = &lane.started;
            plan.kernel.identity() == started.kernel.identity()
                && plan.boot == started.boot
                && plan.policies.own.sha256 == started.policy_sha256
        });
        let plan = plan.ok_or_else(|| {
            differs(
                "is about another kernel or policy than the one that its command line names now",
            )
        })?;
        plan.earlier = earlier_lane(lane, keep, plan).ok_or_else(|| differs("has other cells"))?;
    }
    Ok(())
}

/// `None` if the lane's cells are not those of the plan.
pub(super) fn earlier_lane(lane: LaneRun, keep: Keep, plan: &LanePlan) -> Option<EarlierLane> {
    let name = |number: usize| plan.cells.get(number).map(|cell| cell.name());
    if lane.cells.iter().any(|cell| name(cell.number).as_ref() != Some(&cell.name)) {
        return None;
    }
    let keeps = |cell: &CellResult| match keep {
        Keep::Results => cell.judgement.verdict != Verdict::Miss,
        Keep::Passes => !cell.judgement.verdict.is_bad(),
    };
    let kept: BTreeSet<_> =
        lane.cells.iter().filter(|cell| keeps(cell)).map(|cell| cell.number).collect();
    let again = plan.cells.iter().enumerate().filter(|(number, _)| !kept.contains(number));
    let controls: BTreeSet<_> = match keep {
        Keep::Results => BTreeSet::new(),
        Keep::Passes => again.filter_map(|(_, cell)| cell.control).collect(),
    };
    let cells = lane.cells.into_iter();
    let cells =
        cells.filter(|cell| kept.contains(&cell.number) && !controls.contains(&cell.number));
    let boots = lane.ready.iter().map(|ready| ready.boot);
    let boots = boots.chain(lane.deaths.iter().map(|death| death.boot)).max();
    Some(EarlierLane {
        boots: boots.map_or(0, |last| last + 1),
        ready: lane.ready,
        deaths: lane.deaths,
        cells: cells.collect(),
        answers: lane.answers.into_iter().filter(|it| kept.contains(&it.number)).collect(),
    })
}
