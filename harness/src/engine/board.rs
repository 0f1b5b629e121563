//! The state of a run, which its workers share: who runs what, and what came of it.

use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perfsec_wire::MachineFacts;

use super::attempts::Ran;
use super::death::{Cause, Moment};
use super::results::Results;
use super::schedule::{Given, GuestId, Schedule, Task};
use super::{LanePlan, Limits, UntilBroken};
use crate::interrupt::Interrupt;
use crate::judge::Verdict;
use crate::kernel::Config;
use crate::machines::{Blame, MachineError};
use crate::record::{
    CellResult, Death, Event, LaneAnswers, LaneEnded, LaneReady, LaneRefusal, LaneStarted,
};

/// A lane is given up after this many boots in a row that die without finishing a cell. One deadly
/// cell costs a boot; a kernel, a policy or an agent that no cell survives must not cost a boot for
/// each cell.
const FRUITLESS_BOOTS: usize = 3;

/// A lane is given up after this many boots in a row whose machine failed while it had no cell. One
/// may be chance, such as the memory killer of the host.
const FAILED_BOOTS: usize = 2;

/// The terms on which a run serves its lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The longest silence of a guest.
    pub(super) limits: Limits,
    /// Never restore a guest from a snapshot, and save none.
    pub(super) cold: bool,
    /// Number of times that a failure is repeated.
    pub(super) retries: usize,
}

/// A guest's place in the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Post {
    pub(super) guest: GuestId,
    pub(super) lane: usize,
    /// Number of the boot in the lane.
    pub(super) boot: usize,
}

/// The end of a guest's time at its post.
#[derive(Debug)]
pub(super) enum Fate {
    /// The guest ran every cell that it got.
    Done,
    /// It was restored from a snapshot that does not hold what it should, and that is deleted now.
    Discarded,
    /// The guest is not what the lane needs; nor would another be.
    Refused { verdict: Verdict, reason: String, console: String },
    /// The lane cannot go on.
    Broken { verdict: Verdict, reason: String },
    /// No guest could be started.
    NoMachine(MachineError),
    /// The guest died.
    Died {
        /// The cell that ran.
        cell: Option<usize>,
        moment: Moment,
        cause: Cause,
        console: String,
        /// The snapshot from which it was restored.
        snapshot: Option<String>,
    },
}

/// The state of a run.
pub(super) struct Board<'a> {
    pub(super) plans: &'a [LanePlan],
    pub(super) manner: Manner,
    pub(super) interrupt: &'a Interrupt,
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
    sink: Sender<Event>,
}

struct State {
    schedule: Schedule,
    lanes: Vec<LaneState>,
    error: Option<MachineError>,
}

struct LaneState {
    results: Results,
    /// The time of its first boot.
    began: Option<Duration>,
    /// Boots in a row that died without finishing a cell.
    fruitless: usize,
    /// Boots in a row whose machine failed before it had a cell.
    failed: usize,
    /// Cells that show if the kernel is broken, and could not be carried out.
    errors: usize,
    /// Snapshots of its guests did not hold what they should, so that no other one is restored.
    cold: bool,
    refused: Option<LaneRefusal>,
    /// The configuration and the machine, as a guest reported them.
    config: Option<Config>,
    machine: Option<MachineFacts>,
    /// Its kernel showed that it is broken, and the lane wants no more.
    broken: bool,
    ended: bool,
}

impl<'a> Board<'a> {
    /// A run that `started` now. Events go to `sink`.
    pub(super) fn new(
        plans: &'a [LanePlan],
        manner: Manner,
        started: Instant,
        interrupt: &'a Interrupt,
        sink: Sender<Event>,
    ) -> Self {
        let traits = plans.iter().map(|plan| (plan.traits(), plan.earlier.boots));
        let lanes = plans.iter().map(|plan| LaneState::new(plan.cells.len())).collect();
        let state = State { schedule: Schedule::new(traits, manner.cold), lanes, error: None };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { plans, manner, interrupt, started, state, changed, sink }
    }

    /// Announces every lane, and ends the cells that cannot run anywhere.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        for (lane, plan) in self.plans.iter().enumerate() {
            self.emit(Event::Lane(Box::new(LaneStarted {
                lane,
                kernel: plan.kernel.for_record(),
                boot: plan.boot,
                policy: plan.policies.own.name.clone(),
                policy_changes: plan.policies.own.changes.clone(),
                policy_sha256: plan.policies.own.sha256.clone(),
                machinery: plan.machinery(),
                cells: plan.cells.len(),
            })));
            self.take_over(&mut state, lane);
            self.skip_unmet(&mut state, lane);
            if let Err(reason) = plan.pool.can(plan.boot) {
                self.give_up(&mut state, lane, Verdict::Skip, &reason.to_string());
            }
            for cell in state.lanes[lane].results.open() {
                state.schedule.enqueue(lane, cell);
            }
            self.end_if_over(&mut state, lane);
        }
    }

    /// The first error of a machine.
    pub(super) fn into_error(self) -> Option<MachineError> {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).error
    }

    /// The post of the next guest, and whether it must not be restored; waits until one is needed.
    /// Returns `None` when everything has run.
    pub(super) fn next(&self) -> Option<(Post, bool)> {
        let mut state = self.state();
        loop {
            if self.interrupt.is_raised() {
                for lane in 0..self.plans.len() {
                    self.give_up(&mut state, lane, Verdict::Miss, &self.why_stopped());
                    self.end_if_over(&mut state, lane);
                }
            }
            let now = self.now();
            match state.schedule.next(now) {
                // A guest that ends, and a guest that is ready, change what is worth while.
                Task::Wait => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Task::Start { guest, lane, boot, cold } => {
                    let entry = &mut state.lanes[lane];
                    entry.began.get_or_insert(now);
                    return Some((Post { guest, lane, boot }, cold || entry.cold));
                }
                Task::Finish => {
                    self.changed.notify_all();
                    return None;
                }
            }
        }
    }

    /// The reason of cells that the end of the run prevented.
    pub(super) fn why_stopped(&self) -> String {
        match self.manner.limits.run {
            Some(limit) if self.now() >= limit => {
                format!("the run took longer than its limit of {} s", limit.as_secs())
            }
            _ => "the run was interrupted".to_owned(),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    // A worker that panicked ends the run; what it left is consistent enough to end the others.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an event. The receiver outlives every worker.
    pub(super) fn emit(&self, event: Event) {
        let _ = self.sink.send(event);
    }

    /// Notes how a guest came up.
    pub(super) fn note_restored(&self, guest: GuestId, restored: bool) {
        self.state().schedule.note_restored(guest, restored);
    }

    /// Notes that a guest can run cells.
    pub(super) fn note_ready(&self, post: Post, machine: MachineFacts, config: Option<Config>) {
        let mut state = self.state();
        state.schedule.note_ready(post.guest, self.now());
        let lane = &mut state.lanes[post.lane];
        lane.machine = Some(machine);
        lane.config = lane.config.take().or(config);
        self.changed.notify_all();
    }

    /// The next cells of a guest; none if it has done its work.
    pub(super) fn give(&self, guest: GuestId) -> Vec<Given> {
        self.state().schedule.give(guest)
    }

    /// Takes an attempt at a cell that the guest was given.
    pub(super) fn take(&self, post: Post, cell: usize, ran: Ran) {
        let mut state = self.state();
        state.schedule.note_finished(post.guest, cell, self.now());
        let entry = &mut state.lanes[post.lane];
        (entry.fruitless, entry.failed) = (0, 0);
        self.attempt(&mut state, post.lane, cell, ran);
    }

    fn attempt(&self, state: &mut State, lane: usize, cell: usize, ran: Ran) {
        let plan = &self.plans[lane];
        let LaneState { results, config, machine, errors, .. } = &mut state.lanes[lane];
        // The lane was given up while the cell ran.
        if results.has(cell) {
            return;
        }
        let circumstances = plan.circumstances(config.as_ref(), machine.as_ref());
        let mut ended = Vec::new();
        let retries = self.manner.retries;
        if results.take(plan, &circumstances, retries, (cell, ran), &mut ended) {
            state.schedule.enqueue_cold(lane, cell);
            self.changed.notify_all();
        }
        let breaks = plan.until_broken.as_ref().is_some_and(|until| {
            let shows = ended.iter().filter(|it| until.cells.contains(&it.name));
            let verdicts: Vec<Verdict> = shows.map(|it| it.judgement.verdict).collect();
            *errors += verdicts.iter().filter(|it| **it == Verdict::Error).count();
            verdicts.contains(&Verdict::Fail) || *errors >= UntilBroken::ERRORS
        });
        ended.into_iter().for_each(|result| self.emit(Event::Cell(Box::new(result))));
        if breaks {
            self.break_off(state, lane, "another cell showed that the kernel is broken");
        }
    }

    /// True if a lane is over because its kernel is broken.
    pub(super) fn is_broken(&self, lane: usize) -> bool {
        self.state().lanes[lane].broken
    }

    /// Ends the lanes of a kernel.
    fn break_off(&self, state: &mut State, lane: usize, reason: &str) {
        let of_kernel = |other: &usize| self.plans[*other].shares_kernel(&self.plans[lane]);
        for lane in (0..self.plans.len()).filter(of_kernel) {
            state.lanes[lane].broken = true;
            self.give_up(state, lane, Verdict::Miss, reason);
            self.end_if_over(state, lane);
        }
        self.changed.notify_all();
    }

    /// Reports the kept results of an earlier run again.
    fn take_over(&self, state: &mut State, lane: usize) {
        let earlier = &self.plans[lane].earlier;
        for ready in &earlier.ready {
            self.emit(Event::Ready(LaneReady { lane, ..ready.clone() }));
        }
        for death in &earlier.deaths {
            self.emit(Event::Death(Death { lane, ..death.clone() }));
        }
        for answers in &earlier.answers {
            self.emit(Event::Answers(LaneAnswers { lane, ..answers.clone() }));
        }
        for cell in &earlier.cells {
            state.lanes[lane].results.note_earlier(cell.number, cell.judgement.verdict);
            self.emit(Event::Cell(Box::new(CellResult { lane, ..cell.clone() })));
        }
        if let Some(ready) = earlier.ready.last() {
            state.lanes[lane].machine = Some(ready.facts.machine.clone());
        }
    }

    fn skip_unmet(&self, state: &mut State, lane: usize) {
        let plan = &self.plans[lane];
        let circumstances = plan.circumstances(None, None);
        for (index, cell) in plan.cells.iter().enumerate() {
            let unmet = cell.case.unmet_requirement(&circumstances).map(str::to_owned);
            let unable = || plan.pool.can_run(cell).err().map(|reason| reason.to_string());
            if let Some(reason) = unmet.or_else(unable) {
                self.attempt(state, lane, index, Ran::unseen(0, Verdict::Skip, reason));
            }
        }
    }

    /// Ends the cells of a lane that have no result.
    fn give_up(&self, state: &mut State, lane: usize, verdict: Verdict, reason: &str) {
        let (plan, boots) = (&self.plans[lane], state.schedule.boots(lane));
        state.schedule.clear(lane);
        let LaneState { results, config, machine, .. } = &mut state.lanes[lane];
        let circumstances = plan.circumstances(config.as_ref(), machine.as_ref());
        let mut ended = Vec::new();
        let boot = boots.saturating_sub(1);
        results.give_up(plan, &circumstances, boot, (verdict, reason), &mut ended);
        ended.into_iter().for_each(|result| self.emit(Event::Cell(Box::new(result))));
    }

    fn end_if_over(&self, state: &mut State, lane: usize) {
        if state.lanes[lane].ended || !state.schedule.is_over(lane) {
            return;
        }
        let boots = state.schedule.boots(lane);
        let entry = &mut state.lanes[lane];
        entry.ended = true;
        let millis = entry.began.map_or(0, |began| (self.now() - began).as_millis() as u64);
        let refused = entry.refused.take();
        self.emit(Event::LaneEnd(LaneEnded { lane, boots, millis, refused }));
    }

    /// Notes the fate of a guest that `finished` this many cells.
    pub(super) fn end(&self, post: Post, fate: Fate, finished: usize) {
        let mut state = self.state();
        let state = &mut *state;
        let lane = post.lane;
        let killed = match &fate {
            Fate::Died { cell: Some(cell), .. } => Some(*cell),
            _ => None,
        };
        state.schedule.note_end(post.guest, killed);
        if state.lanes[lane].broken {
            // Cells that the guest had been given wait again.
            state.schedule.clear(lane);
        }
        match fate {
            Fate::Done => {}
            Fate::Discarded => state.lanes[lane].cold = true,
            Fate::Refused { verdict, reason, console } => {
                state.lanes[lane].refused = Some(LaneRefusal { reason: reason.clone(), console });
                self.give_up(state, lane, verdict, &reason);
            }
            Fate::Broken { verdict, reason } => self.give_up(state, lane, verdict, &reason),
            Fate::NoMachine(error) => self.not_started(state, lane, error),
            Fate::Died { cell, moment, cause, console, snapshot } => {
                let entry = &mut state.lanes[lane];
                entry.fruitless += usize::from(finished == 0);
                let hopeless = entry.fruitless >= FRUITLESS_BOOTS;
                if let Some(cell) = cell {
                    let unseen = Ran::unseen(post.boot, cause.verdict, cause.sentence(moment));
                    self.attempt(state, lane, cell, Ran { snapshot, ..unseen });
                } else {
                    self.died_idle(state, lane, moment, &cause, console, finished);
                }
                if hopeless {
                    let reason = format!(
                        "{FRUITLESS_BOOTS} boots in a row died before they finished a cell, \
                         the last of: {}",
                        cause.title
                    );
                    self.give_up(state, lane, unrun(cause.blame), &reason);
                }
                if self.plans[lane].until_broken.is_some() && cause.blame == Blame::Kernel {
                    self.break_off(state, lane, &cause.title);
                }
            }
        }
        self.end_if_over(state, lane);
        self.changed.notify_all();
    }

    /// Decides what becomes of a lane one of whose guests died while it had no cell.
    fn died_idle(
        &self,
        state: &mut State,
        lane: usize,
        moment: Moment,
        cause: &Cause,
        console: String,
        finished: usize,
    ) {
        let alone = state.schedule.guests(lane) == 0;
        match (cause.blame, moment) {
            // The others go on without this one.
            (Blame::Machine | Blame::Host, _) if !alone => state.schedule.stop_growing(lane),
            (Blame::Machine | Blame::Host, _) => {
                state.lanes[lane].failed += 1;
                if state.lanes[lane].failed >= FAILED_BOOTS {
                    let reason = format!(
                        "{FAILED_BOOTS} boots in a row failed, the last: {}",
                        cause.sentence(moment)
                    );
                    self.give_up(state, lane, unrun(cause.blame), &reason);
                }
            }
            (Blame::Kernel, Moment::Booting) if alone => {
                let reason = format!("the kernel did not come up: {}", cause.title);
                let refusal = LaneRefusal { reason: reason.clone(), console };
                state.lanes[lane].refused = Some(refusal);
                self.give_up(state, lane, unrun(cause.blame), &reason);
            }
            // No cell is to blame, so none would be left out the next time.
            (Blame::Kernel, Moment::Between) if alone && finished == 0 => {
                self.give_up(state, lane, unrun(cause.blame), &cause.title);
            }
            (Blame::Kernel, _) => {}
        }
    }

    /// Decides what becomes of a lane for which no guest could be started.
    fn not_started(&self, state: &mut State, lane: usize, error: MachineError) {
        let entry = &mut state.lanes[lane];
        if state.schedule.guests(lane) > 0 {
            // The other guests of the lane go on without this one.
            state.schedule.stop_growing(lane);
        } else if error.blame == Blame::Machine && entry.failed + 1 < FAILED_BOOTS {
            entry.failed += 1;
        } else {
            self.give_up(state, lane, Verdict::Miss, &error.to_string());
            state.error.get_or_insert(error);
        }
    }
}

/// The verdict of cells that cannot run for a reason of this kind.
fn unrun(blame: Blame) -> Verdict {
    match blame {
        Blame::Kernel => Verdict::Miss,
        Blame::Machine | Blame::Host => Verdict::Error,
    }
}

impl LaneState {
    fn new(cells: usize) -> Self {
        Self {
            results: Results::new(cells),
            began: None,
            fruitless: 0,
            failed: 0,
            errors: 0,
            cold: false,
            refused: None,
            config: None,
            machine: None,
            broken: false,
            ended: false,
        }
    }
}
