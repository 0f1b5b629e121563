//! One lane: boots its kernel as often as its cells need, usually once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use perfsec_wire::{Boot, Facts, Job, Message, Outcome, PROTOCOL};

use super::{asked, death};
use crate::case::Circumstances;
use crate::interrupt::Interrupt;
use crate::judge::{Judgement, Known, Verdict, judge};
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::machines::{End, Incident, Load, Target, TargetError};
use crate::plan::{self, PlannedCell};
use crate::policy::Policies;
use crate::record::{
    BootCoverage, CellResult, Death, Event, LaneEnded, LaneReady, LaneRefusal, LaneStarted,
};

/// A kernel under a policy, and its cells.
pub struct LanePlan {
    /// Number of the lane in the run.
    pub lane: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// What the kernel is booted as.
    pub boot: Boot,
    /// The policies.
    pub policies: Policies,
    /// The cells, controls before the cells that need them.
    pub cells: Arc<Vec<PlannedCell>>,
    /// What kernels are known to do otherwise.
    pub known: Arc<KnownDifferences>,
    /// What boots the kernel.
    pub target: Box<dyn Target>,
    /// The functions whose places are to be told, in a run that measures coverage.
    pub coverage: Option<Vec<String>>,
}

/// How long a guest may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two signs of life (console output or a message) until the lane is ready.
    pub boot: Duration,
    /// Between two messages afterwards.
    pub cell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { boot: Duration::from_secs(120), cell: Duration::from_secs(60) }
    }
}

/// After so many boots in a row that died in a cell without finishing any, the next would too. One
/// cell that kills its guest costs a boot; a kernel, a policy or an agent that no cell survives must not
/// cost one for each cell.
const BOOTS_IN_VAIN: usize = 3;

/// How much of a case's SHA-256 a record has of each of its cells: enough to tell two versions apart.
const CASE_DIGITS: usize = 16;

/// How much of a console is kept, in bytes.
const CONSOLE_KEPT: usize = 256 << 10;

/// Runs a lane to its end. Every cell gets one [`Event::Cell`], whatever happens.
///
/// # Errors
///
/// When the machinery fails; cells that had no verdict by then have none.
pub fn run_lane(
    plan: &LanePlan,
    limits: Limits,
    interrupt: &Interrupt,
    emit: &dyn Fn(Event),
) -> Result<(), TargetError> {
    let started = Instant::now();
    emit(Event::Lane(Box::new(LaneStarted {
        lane: plan.lane,
        kernel: plan.kernel.for_record(),
        boot: plan.boot,
        policy: plan.policies.own.name.clone(),
        policy_sha256: plan.policies.own.sha256.clone(),
        machinery: plan.target.describe(),
        cells: plan.cells.len(),
    })));
    let mut runner = Runner {
        plan,
        limits,
        emit,
        verdicts: vec![None; plan.cells.len()],
        boot: 0,
        in_vain: 0,
        deadly: BTreeSet::new(),
        refused: None,
    };
    runner.skip_unmet();
    let mut result = Ok(());
    loop {
        let pending = runner.pending();
        if pending.is_empty() {
            break;
        }
        if interrupt.is_raised() {
            runner.miss(&pending, "the run was interrupted");
            break;
        }
        let many = pending.len().min(plan::cells_per_boot(plan.boot));
        match runner.boot(&pending[..many], interrupt) {
            Ok(Progress::GoOn) => {}
            Ok(Progress::GiveUp { verdict, reason }) => runner.give_up(verdict, &reason),
            Err(error) => {
                runner.give_up(Verdict::Miss, &error.to_string());
                result = Err(error);
            }
        }
        runner.boot += 1;
    }
    emit(Event::LaneEnd(LaneEnded {
        lane: plan.lane,
        boots: runner.boot,
        millis: started.elapsed().as_millis() as u64,
        refused: runner.refused.take(),
    }));
    result
}

struct Runner<'a> {
    plan: &'a LanePlan,
    limits: Limits,
    emit: &'a dyn Fn(Event),
    verdicts: Vec<Option<Verdict>>,
    boot: usize,
    in_vain: usize,
    /// Names of cases in which a guest died.
    deadly: BTreeSet<String>,
    refused: Option<LaneRefusal>,
}

/// Whether the remaining cells of a lane are worth another boot.
enum Progress {
    GoOn,
    GiveUp { verdict: Verdict, reason: String },
}

/// What is known of a boot while it lasts.
struct Booted {
    contexts: HashMap<usize, String>,
    facts: Option<Box<Facts>>,
    current: Option<usize>,
    finished: usize,
    covered: bool,
    console: Vec<u8>,
    done: bool,
}

impl Runner<'_> {
    fn circumstances(&self) -> Circumstances<'_> {
        (&self.plan.kernel).into()
    }

    /// Cells without a verdict, those of deadly cases last: what kills one cell of a case will likely
    /// kill the next, and must not keep other cases from being run.
    fn pending(&self) -> Vec<usize> {
        let mut cells: Vec<_> =
            (0..self.verdicts.len()).filter(|at| self.verdicts[*at].is_none()).collect();
        // A lockdown that a boot has cannot be lowered for a cell that comes later.
        cells.sort_by_key(|at| {
            let case = &self.plan.cells[*at].case;
            (case.lockdown, self.deadly.contains(&case.name))
        });
        cells
    }

    fn skip_unmet(&mut self) {
        for index in 0..self.plan.cells.len() {
            let unmet = self.plan.cells[index].case.unmet(&self.circumstances());
            if let Some(reason) = unmet.map(|reason| format!("not for this kernel: {reason}")) {
                self.conclude(index, Judgement::unseen(Verdict::Skip, reason, Vec::new()), None);
            }
        }
    }

    fn miss(&mut self, cells: &[usize], reason: &str) {
        for index in cells {
            self.conclude(*index, Judgement::unseen(Verdict::Miss, reason, Vec::new()), None);
        }
    }

    fn give_up(&mut self, verdict: Verdict, reason: &str) {
        for index in self.pending() {
            self.conclude(index, Judgement::unseen(verdict, reason, Vec::new()), None);
        }
    }

    /// One boot, for these cells.
    fn boot(&mut self, cells: &[usize], interrupt: &Interrupt) -> Result<Progress, TargetError> {
        let started = Instant::now();
        let wire: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(fresh, index)| {
                let cell = &self.plan.cells[*index];
                cell.wire(*index, fresh, self.plan.policies.of(cell.case.policy.as_deref()))
            })
            .collect();
        let mut boot = Booted {
            contexts: wire
                .iter()
                .map(|cell| (cell.id as usize, cell.subject.context.clone()))
                .collect(),
            facts: None,
            current: None,
            finished: 0,
            covered: false,
            console: Vec::new(),
            done: false,
        };
        let job = Job::Cells(wire);
        let mut load = Load::new(self.plan.boot, &self.plan.policies, job);
        load.lane.coverage = self.plan.coverage.clone();
        let (sink, incidents) = mpsc::channel();
        interrupt.tell({
            let sink = sink.clone();
            // A boot that is over hears nothing.
            move || drop(sink.send(Incident::Interrupted))
        });
        let mut guest = self.plan.target.boot(&load, sink)?;

        let mut overdue = None;
        let (mut silent, mut ended) = (false, None);
        let mut give_up = None;
        while !(silent && ended.is_some()) {
            let limit = if boot.facts.is_some() { self.limits.cell } else { self.limits.boot };
            match next(&incidents, limit) {
                Some(Incident::Message(message)) => {
                    if let Some(reason) = self.hear(&mut boot, message, started) {
                        give_up = Some(reason);
                        guest.kill();
                    }
                }
                Some(Incident::Console(bytes)) => keep(&mut boot.console, &bytes),
                Some(Incident::Silence(why)) => {
                    silent = true;
                    if let Some(why) = why.filter(|_| ended.is_none() && give_up.is_none()) {
                        give_up =
                            Some((Verdict::Error, format!("the agent's channel failed: {why}")));
                        guest.kill();
                    }
                }
                Some(Incident::Ended(end)) => ended = Some(end),
                Some(Incident::Interrupted) => {
                    give_up = Some((Verdict::Miss, "the run was interrupted".to_owned()));
                    guest.kill();
                }
                None if overdue.is_none() => {
                    overdue = Some(format!("nothing happened for {} s", limit.as_secs()));
                    guest.kill();
                }
                // Killed and still there: the machinery does not even end. Dropping it is all that is left.
                None => break,
            }
        }
        drop(guest);
        if let Some((verdict, reason)) = give_up {
            return Ok(Progress::GiveUp { verdict, reason });
        }
        let all_over = boot.contexts.keys().all(|index| self.verdicts[*index].is_some());
        if boot.done && all_over {
            return Ok(Progress::GoOn);
        }
        Ok(self.bury(&boot, ended.unwrap_or(End::Killed), overdue.as_deref()))
    }

    /// A boot ended before its cells were over.
    fn bury(&mut self, boot: &Booted, end: End, overdue: Option<&str>) -> Progress {
        let console = String::from_utf8_lossy(&boot.console).into_owned();
        let cause = death::cause(&console, &end, overdue);
        let cell = boot.current.map(|index| self.plan.cells[index].name());
        (self.emit)(Event::Death(Death {
            lane: self.plan.lane,
            boot: self.boot,
            end,
            cause: cause.title.clone(),
            cell,
            console,
        }));
        if let Some(index) = boot.current {
            self.deadly.insert(self.plan.cells[index].case.name.clone());
            let reason = format!("{} while this cell ran", cause.title);
            self.conclude(index, Judgement::unseen(cause.verdict, reason, Vec::new()), None);
            self.in_vain = if boot.finished > 0 { 0 } else { self.in_vain + 1 };
            if self.in_vain < BOOTS_IN_VAIN {
                return Progress::GoOn;
            }
            let reason = format!(
                "{BOOTS_IN_VAIN} boots in a row died in their first cell, the last of: {}",
                cause.title
            );
            return Progress::GiveUp { verdict: Verdict::Miss, reason };
        }
        let reason = match boot.facts {
            None => {
                let reason = format!("the kernel did not come up: {}", cause.title);
                self.refuse(boot, &reason);
                reason
            }
            Some(_) if boot.finished > 0 => return Progress::GoOn,
            Some(_) => cause.title,
        };
        Progress::GiveUp { verdict: Verdict::Miss, reason }
    }

    /// Takes in a message; a verdict for all remaining cells when there is no point in going on.
    fn hear(
        &mut self,
        boot: &mut Booted,
        message: Message,
        started: Instant,
    ) -> Option<(Verdict, String)> {
        match message {
            Message::Hello { protocol: PROTOCOL, .. } => None,
            Message::Hello { protocol, .. } => Some((
                Verdict::Error,
                format!("the agent speaks protocol {protocol} and perfsec {PROTOCOL}"),
            )),
            Message::Refused(refusal) => {
                let reason = asked::words(&refusal);
                self.refuse(boot, &reason);
                Some((Verdict::Error, reason))
            }
            Message::Ready(facts) => {
                let difference = asked::difference(&self.plan.kernel, self.plan.boot, &facts);
                (self.emit)(Event::Ready(LaneReady {
                    lane: self.plan.lane,
                    boot: self.boot,
                    millis: started.elapsed().as_millis() as u64,
                    facts: facts.clone(),
                }));
                boot.facts = Some(facts);
                difference.map(|difference| {
                    self.refuse(boot, &difference);
                    (Verdict::Error, difference)
                })
            }
            Message::Started(id) => {
                let index = id as usize;
                boot.current = boot.contexts.contains_key(&index).then_some(index);
                None
            }
            Message::Finished(id, outcome) => {
                let index = id as usize;
                if boot.current != Some(index) || self.verdicts[index].is_some() {
                    return Some((
                        Verdict::Error,
                        format!("the agent finished cell {id} out of turn"),
                    ));
                }
                boot.current = None;
                boot.finished += 1;
                self.finish(boot, index, outcome);
                None
            }
            Message::Coverage(coverage) => {
                if self.plan.coverage.is_none() || std::mem::replace(&mut boot.covered, true) {
                    let reason = "the agent told what it covered out of turn".to_owned();
                    return Some((Verdict::Error, reason));
                }
                let (lane, boot) = (self.plan.lane, self.boot);
                (self.emit)(Event::Coverage(BootCoverage { lane, boot, coverage }));
                None
            }
            // It was for the target, which reads the channel.
            Message::Moved => None,
            Message::Done => {
                boot.done = true;
                None
            }
        }
    }

    fn refuse(&mut self, boot: &Booted, reason: &str) {
        let console = String::from_utf8_lossy(&boot.console).into_owned();
        self.refused = Some(LaneRefusal { reason: reason.to_owned(), console });
    }

    fn finish(&mut self, boot: &Booted, index: usize, outcome: Outcome) {
        let plan = self.plan;
        let cell = &plan.cells[index];
        let circumstances = self.circumstances();
        let expected = cell.case.expected(&cell.at, &circumstances);
        let context = boot.contexts.get(&index).map_or("", String::as_str);
        let nothing = Facts::default();
        let facts = boot.facts.as_deref().unwrap_or(&nothing);
        let mut judgement = judge(cell, context, expected, &outcome, facts);
        if let Some(known) = self.known(cell, &circumstances, &judgement) {
            judgement = judgement.known(known);
        }
        let control = cell.control.map(|at| (&plan.cells[at], self.verdicts[at]));
        if let (Verdict::Pass, Some((control, verdict))) = (judgement.verdict, control)
            && verdict != Some(Verdict::Pass)
        {
            judgement.verdict = Verdict::Error;
            let verdict = verdict.map_or("no verdict".to_owned(), |verdict| verdict.to_string());
            judgement.reason = Some(format!(
                "its control {} has {verdict}, so a denial proves nothing",
                control.name()
            ));
        }
        let observation = match outcome {
            Outcome::Observed(observation) => Some(observation),
            Outcome::Failed(_) => None,
        };
        self.conclude(index, judgement, observation);
    }

    /// The known difference that a cell meets, or would have met.
    fn known(
        &self,
        cell: &PlannedCell,
        kernel: &Circumstances<'_>,
        judgement: &Judgement,
    ) -> Option<Known> {
        let (name, policy) = (cell.name(), &self.plan.policies.own.name);
        let listed = match judgement.verdict {
            Verdict::Fail => self.plan.known.of(&name, kernel, policy, &judgement.observed),
            _ => self.plan.known.about(&name, kernel, policy),
        };
        let of_case = cell.case.known(cell.case.expect(&cell.at));
        let of_case = of_case.filter(|(_, condition)| condition.holds(kernel));
        of_case.map(|(known, _)| known).or_else(|| listed.cloned())
    }

    fn conclude(
        &mut self,
        index: usize,
        mut judgement: Judgement,
        observation: Option<perfsec_wire::Observation>,
    ) {
        let cell = &self.plan.cells[index];
        if judgement.expected.is_empty() && judgement.verdict != Verdict::Skip {
            judgement.expected = cell.case.expected(&cell.at, &self.circumstances());
        }
        self.verdicts[index] = Some(judgement.verdict);
        (self.emit)(Event::Cell(Box::new(CellResult {
            lane: self.plan.lane,
            boot: self.boot,
            name: cell.name(),
            case: cell.case.name.clone(),
            title: cell.case.title.clone(),
            path: cell.case.path.clone(),
            line: cell.case.expect(&cell.at).line,
            source: cell.case.source.clone(),
            case_sha256: cell.case.sha256.chars().take(CASE_DIGITS).collect(),
            because: cell.case.because(&cell.at, &self.circumstances()),
            at: cell.at.clone(),
            judgement,
            observation,
        })));
    }
}

/// The next incident; `None` when none came in time.
fn next(incidents: &Receiver<Incident>, limit: Duration) -> Option<Incident> {
    incidents.recv_timeout(limit).ok()
}

fn keep(console: &mut Vec<u8>, bytes: &[u8]) {
    console.extend_from_slice(bytes);
    if console.len() > CONSOLE_KEPT {
        console.drain(..console.len() - CONSOLE_KEPT);
    }
}
