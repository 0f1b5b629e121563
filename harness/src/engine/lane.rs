//! One lane: boots its kernel as often as its cells need, usually once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use perfsec_wire::machine::MachineFacts;
use perfsec_wire::{BootMode, CellOutcome, Facts, Job, Message, PROTOCOL};

use super::{death, readback};
use crate::case::{Circumstances, KnownDifference};
use crate::interrupt::Interrupt;
use crate::judge::{Judgement, Verdict, judge};
use crate::kernel::{Config, Kernel};
use crate::known::KnownDifferences;
use crate::machines::{End, Incident, Load, MachineError, Pool};
use crate::plan::{self, PlannedCell};
use crate::policy::Policies;
use crate::record::{
    BootCoverage, CellResult, Death, Event, LaneEnded, LaneReady, LaneRefusal, LaneStarted,
};

/// A kernel under a policy, and its cells.
pub struct LanePlan {
    /// Index of the lane in the run.
    pub lane: usize,
    /// The kernel.
    pub kernel: Kernel,
    /// How it is booted.
    pub boot: BootMode,
    /// The policies.
    pub policies: Policies,
    /// The cells, controls before the cells that need them.
    pub cells: Arc<Vec<PlannedCell>>,
    /// Known differences between kernels and the cases.
    pub known: Arc<KnownDifferences>,
    /// The machines that boot the kernel.
    pub pool: Arc<dyn Pool>,
    /// In a run that measures coverage: the functions whose decision points the agent traces.
    pub coverage: Option<Vec<String>>,
}

/// The longest silences of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the lane is ready: between two signs of life (console output or a message).
    pub boot: Duration,
    /// Afterwards: between two messages.
    pub cell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { boot: Duration::from_secs(120), cell: Duration::from_secs(60) }
    }
}

/// A lane is given up after this many boots in a row that died without finishing a cell. One deadly
/// cell costs a boot; a kernel, a policy or an agent that no cell survives must not cost a boot for
/// each cell.
const FRUITLESS_BOOTS: usize = 3;

/// Hexadecimal digits of a case's SHA-256 in the record of each cell: enough to tell versions apart.
const CASE_DIGITS: usize = 16;

/// Bytes of the console that are kept: the last ones.
const CONSOLE_KEPT: usize = 256 << 10;

/// Runs a lane to its end. Every cell gets exactly one [`Event::Cell`].
///
/// # Errors
///
/// If the machine or the host fails; the remaining cells get MISS.
pub fn run_lane(
    plan: &LanePlan,
    limits: Limits,
    interrupt: &Interrupt,
    emit: &dyn Fn(Event),
) -> Result<(), MachineError> {
    let started = Instant::now();
    emit(Event::Lane(Box::new(LaneStarted {
        lane: plan.lane,
        kernel: plan.kernel.for_record(),
        boot: plan.boot,
        policy: plan.policies.own.name.clone(),
        policy_sha256: plan.policies.own.sha256.clone(),
        machinery: plan.pool.describe(plan.boot),
        cells: plan.cells.len(),
    })));
    let mut runner = Runner {
        plan,
        limits,
        emit,
        verdicts: vec![None; plan.cells.len()],
        boot: 0,
        fruitless: 0,
        deadly: BTreeSet::new(),
        refused: None,
        config: None,
        machine: None,
    };
    runner.skip_unmet();
    if let Err(reason) = plan.pool.can(plan.boot) {
        runner.give_up(Verdict::Skip, &reason.to_string());
    }
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
            Ok(Outlook::BootAgain) => {}
            Ok(Outlook::GiveUp { verdict, reason }) => runner.give_up(verdict, &reason),
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
    fruitless: usize,
    /// Names of the cases that killed a guest.
    deadly: BTreeSet<String>,
    refused: Option<LaneRefusal>,
    /// The configuration that a guest showed, if none came with the kernel.
    config: Option<Config>,
    /// The machine, as the last guest reported it.
    machine: Option<MachineFacts>,
}

/// The fate of the remaining cells after a boot.
enum Outlook {
    BootAgain,
    GiveUp { verdict: Verdict, reason: String },
}

/// The state of a boot while it lasts.
struct BootState {
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
        let kernel = Circumstances::from(&self.plan.kernel);
        Circumstances {
            config: kernel.config.or(self.config.as_ref()),
            machine: self.machine.as_ref(),
            ..kernel
        }
    }

    /// Cells without a verdict, those of deadly cases last: a case that killed one guest will likely
    /// kill the next, and other cases come first.
    fn pending(&self) -> Vec<usize> {
        let mut cells: Vec<_> =
            (0..self.verdicts.len()).filter(|at| self.verdicts[*at].is_none()).collect();
        // A guest's lockdown cannot be lowered for a later cell.
        cells.sort_by_key(|at| {
            let case = &self.plan.cells[*at].case;
            (case.lockdown, self.deadly.contains(&case.name))
        });
        cells
    }

    fn skip_unmet(&mut self) {
        for index in 0..self.plan.cells.len() {
            let unmet = self.plan.cells[index].case.unmet_requirement(&self.circumstances());
            if let Some(reason) = unmet.map(str::to_owned) {
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

    /// Boots once, for these cells.
    fn boot(&mut self, cells: &[usize], interrupt: &Interrupt) -> Result<Outlook, MachineError> {
        let started = Instant::now();
        let wire: Vec<_> = cells
            .iter()
            .enumerate()
            .map(|(fresh, index)| {
                let cell = &self.plan.cells[*index];
                cell.wire(*index, fresh, self.plan.policies.get(cell.case.policy.as_deref()))
            })
            .collect();
        let mut boot = BootState {
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
        let plan = self.plan;
        let mut load = Load::new(plan.boot, &plan.policies, job);
        load.lane.coverage = plan.coverage.clone();
        load.lane.kernel_config = plan.kernel.config.is_none();
        let (sink, incidents) = mpsc::channel();
        interrupt.on_raise({
            let sink = sink.clone();
            // Nobody listens once the boot is over.
            move || drop(sink.send(Incident::Interrupted))
        });
        let mut guest = plan.pool.boot(&plan.kernel, plan.boot, &load, sink)?;

        let mut overdue = None;
        let (mut silent, mut ended) = (false, None);
        let mut give_up = None;
        while !(silent && ended.is_some()) {
            let limit = if boot.facts.is_some() { self.limits.cell } else { self.limits.boot };
            match next(&incidents, limit) {
                Some(Incident::Message(message)) => {
                    if let Some(reason) = self.handle(&mut boot, message, started) {
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
                // Killed and still there. Dropping the machine is all that is left.
                None => break,
            }
        }
        drop(guest);
        if let Some((verdict, reason)) = give_up {
            return Ok(Outlook::GiveUp { verdict, reason });
        }
        let all_over = boot.contexts.keys().all(|index| self.verdicts[*index].is_some());
        if boot.done && all_over {
            return Ok(Outlook::BootAgain);
        }
        Ok(self.bury(&boot, ended.unwrap_or(End::Killed), overdue.as_deref()))
    }

    /// Handles a boot that ended before its cells did.
    fn bury(&mut self, boot: &BootState, end: End, overdue: Option<&str>) -> Outlook {
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
            self.fruitless = if boot.finished > 0 { 0 } else { self.fruitless + 1 };
            if self.fruitless < FRUITLESS_BOOTS {
                return Outlook::BootAgain;
            }
            let reason = format!(
                "{FRUITLESS_BOOTS} boots in a row died in their first cell, the last of: {}",
                cause.title
            );
            return Outlook::GiveUp { verdict: Verdict::Miss, reason };
        }
        let reason = match boot.facts {
            None => {
                let reason = format!("the kernel did not come up: {}", cause.title);
                self.refuse(boot, &reason);
                reason
            }
            Some(_) if boot.finished > 0 => return Outlook::BootAgain,
            Some(_) => cause.title,
        };
        Outlook::GiveUp { verdict: Verdict::Miss, reason }
    }

    /// Handles a message. Returns a verdict for all remaining cells if the lane cannot go on.
    fn handle(
        &mut self,
        boot: &mut BootState,
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
                let reason = readback::refusal_text(&refusal);
                self.refuse(boot, &reason);
                Some((Verdict::Error, reason))
            }
            Message::Ready(facts) => {
                let difference = readback::difference(&self.plan.kernel, self.plan.boot, &facts);
                (self.emit)(Event::Ready(LaneReady {
                    lane: self.plan.lane,
                    boot: self.boot,
                    millis: started.elapsed().as_millis() as u64,
                    restored: false,
                    facts: facts.clone(),
                }));
                self.machine = Some(facts.machine.clone());
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
                    let reason = "the agent reported its coverage out of turn".to_owned();
                    return Some((Verdict::Error, reason));
                }
                let (lane, boot) = (self.plan.lane, self.boot);
                (self.emit)(Event::Coverage(BootCoverage { lane, boot, coverage }));
                None
            }
            // Handled by the machine, which reads the channel.
            Message::Moved => None,
            Message::KernelConfig(packed) => {
                self.config = self.config.take().or_else(|| Config::unpack(&packed));
                None
            }
            Message::Done => {
                boot.done = true;
                None
            }
        }
    }

    fn refuse(&mut self, boot: &BootState, reason: &str) {
        let console = String::from_utf8_lossy(&boot.console).into_owned();
        self.refused = Some(LaneRefusal { reason: reason.to_owned(), console });
    }

    fn finish(&mut self, boot: &BootState, index: usize, outcome: CellOutcome) {
        let plan = self.plan;
        let cell = &plan.cells[index];
        let circumstances = self.circumstances();
        // Only the guest tells some of what requirements and guards name.
        let unmet = cell.case.unmet_requirement(&circumstances).map(str::to_owned);
        if let Some(reason) = unmet.or_else(|| cell.case.undecided(&cell.at, &circumstances)) {
            self.conclude(index, Judgement::unseen(Verdict::Skip, reason, Vec::new()), None);
            return;
        }
        let expected = cell.case.expected(&cell.at, &circumstances);
        let context = boot.contexts.get(&index).map_or("", String::as_str);
        let nothing = Facts::default();
        let facts = boot.facts.as_deref().unwrap_or(&nothing);
        let mut judgement = judge(cell, context, expected, &outcome, facts);
        if let Some(known) = self.known(cell, &circumstances, &judgement) {
            judgement = judgement.with_known_difference(known);
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
            CellOutcome::Observed(observation) => Some(observation),
            CellOutcome::Failed(_) => None,
        };
        self.conclude(index, judgement, observation);
    }

    /// The known difference that applies to a cell: one it shows, or one that is gone.
    fn known(
        &self,
        cell: &PlannedCell,
        kernel: &Circumstances<'_>,
        judgement: &Judgement,
    ) -> Option<KnownDifference> {
        let (name, policy) = (cell.name(), &self.plan.policies.own.name);
        let listed = match judgement.verdict {
            Verdict::Fail => {
                self.plan.known.find_explaining(&name, kernel, policy, &judgement.observed)
            }
            _ => self.plan.known.find_affecting(&name, kernel, policy),
        };
        let of_case = cell.case.known_difference(cell.case.expect(&cell.at));
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
            number: index,
            name: cell.name(),
            case: cell.case.name.clone(),
            title: cell.case.title.clone(),
            path: cell.case.path.clone(),
            line: cell.case.expect(&cell.at).line,
            source: cell.case.source.clone(),
            case_sha256: cell.case.sha256.chars().take(CASE_DIGITS).collect(),
            because: cell.case.condition_reasons(&cell.at, &self.circumstances()),
            at: cell.at.clone(),
            judgement,
            observation,
        })));
    }
}

/// The next incident, or `None` after `limit`.
fn next(incidents: &Receiver<Incident>, limit: Duration) -> Option<Incident> {
    incidents.recv_timeout(limit).ok()
}

fn keep(console: &mut Vec<u8>, bytes: &[u8]) {
    console.extend_from_slice(bytes);
    if console.len() > CONSOLE_KEPT {
        console.drain(..console.len() - CONSOLE_KEPT);
    }
}
