//! The life of one guest: it starts, is read back, runs cells as long as it gets some, and ends.

use std::sync::Arc;
use std::time::Instant;

use perfsec_wire::observation::Exit;
use perfsec_wire::{CellOutcome, Coverage, Lane, Message, Order, PROTOCOL, PolicyAnswers};

use super::LanePlan;
use super::attempts::Ran;
use super::board::{Board, Fate, Post};
use super::conversation::{Conversation, Misheard, ReadBack, Running, Step, Terms};
use super::death::{self, Moment, Reason};
use super::limits::{self, Limits};
use super::readback;
use super::schedule::Given;
use super::watch::{Passed, Watch};
use crate::judge::Verdict;
use crate::machines::{End, Guest, Incident, Incidents, Load, MemoryDump, incidents};
use crate::policy;
use crate::record::{BootCoverage, Death, Event, LaneAnswers, LaneReady};

/// Bytes of a text of the guest's that is the reason of a verdict, as it may be that of every cell.
const REASON_LIMIT: usize = 4 << 10;

/// A guest at its post.
pub(super) struct Visit<'b, 'a> {
    pub(super) board: &'b Board<'a>,
    pub(super) post: Post,
    /// It must not be restored from a snapshot.
    pub(super) cold: bool,
}

/// The state of a guest while it lasts.
struct Life {
    // Before the machine, so dropped before it: its threads may wait for somebody to listen.
    incidents: Incidents,
    machine: Box<dyn Guest>,
    lane: Lane,
    started: Instant,
    terms: Terms,
    snapshot: Option<String>,
    conversation: Conversation,
    watch: Watch,
    /// Length of the console at the last order.
    ordered: u64,
    finished: usize,
    /// The reason why perfsec killed it.
    stop: Option<Stop>,
    /// Its channel has ended.
    silent: bool,
    ended: Option<End>,
    memory: Option<MemoryDump>,
}

/// The reason why perfsec ends a guest.
enum Stop {
    /// It has done its work; all it could do is power off.
    Done,
    /// The lane cannot go on either.
    Broken(Verdict, String),
    /// It is not what the lane needs.
    Refused(Verdict, String),
    /// It is not what its snapshot promised.
    Discarded,
    /// It dies.
    Killed(Reason),
}

impl Visit<'_, '_> {
    fn plan(&self) -> &LanePlan {
        &self.board.plans[self.post.lane]
    }

    fn limits(&self) -> Limits {
        self.board.manner.limits
    }

    /// Runs the guest to its end. Returns the number of cells that it finished, too.
    pub(super) fn run(&self) -> (Fate, usize) {
        let (sink, incidents) = incidents();
        self.board.interrupt.on_raise(incidents.waker());
        let plan = self.plan();
        let mut load = match plan.pool.has_system() {
            true => Load::of_system(plan.boot, &plan.policies),
            false => Load::new(plan.boot, &plan.policies),
        };
        load.preparation.coverage.clone_from(&plan.coverage);
        let started = Instant::now();
        let cold = self.cold || !plan.uses_snapshots();
        let machine = match plan.pool.boot(&plan.kernel, plan.boot, &load, cold, sink) {
            Ok(machine) => machine,
            Err(error) => return (Fate::NoMachine(error), 0),
        };
        let snapshot = machine.snapshot();
        self.board.note_restored(self.post.guest, snapshot.is_some());
        let terms = Terms {
            nonce: fastrand::u64(..),
            kernel_config: plan.kernel.config.is_none(),
            coverage: plan.coverage.is_some(),
        };
        let mut life = Life {
            incidents,
            machine,
            lane: load.lane,
            started,
            terms,
            conversation: match snapshot {
                Some(_) => Conversation::parked(terms),
                None => Conversation::booting(terms),
            },
            snapshot,
            // A real machine has its own limits until here.
            watch: Watch::new(self.limits(), Instant::now()),
            ordered: 0,
            finished: 0,
            stop: None,
            silent: false,
            ended: None,
            memory: None,
        };
        let fate = self.live(&mut life);
        (fate, life.finished)
    }

    fn live(&self, life: &mut Life) -> Fate {
        if life.snapshot.is_some() {
            life.watch.note_progress(Instant::now());
            self.begin(life);
        }
        while !(life.silent && life.ended.is_some()) {
            if self.board.interrupt.is_raised() {
                self.interrupt(life);
            }
            let limit = match life.watch.left(life.incidents.last_print(), Instant::now()) {
                Ok(limit) => limit,
                Err(Passed::Progress(words)) => {
                    life.machine.examine();
                    life.kill(Stop::Killed(Reason::Overdue(words)));
                    continue;
                }
                Err(Passed::End) if life.stop.is_none() && life.ended.is_none() => {
                    let words = "the agent's channel closed and the machine went on".to_owned();
                    life.kill(Stop::Killed(Reason::Unreachable(words)));
                    continue;
                }
                // Killed or dead, and still not gone. Dropping the machine is all that is left.
                Err(Passed::End) => break,
            };
            let Some(incident) = life.incidents.next(limit) else { continue };
            match incident {
                Incident::Message(message) if life.stop.is_none() => {
                    if let Err(stop) = self.hear(life, message) {
                        life.kill(stop);
                    }
                }
                Incident::Message(_) => {}
                Incident::Silence(why) => {
                    life.silent = true;
                    match why {
                        Some(why) => {
                            let words =
                                format!("the agent sent something else than messages: {why}");
                            life.kill(Stop::Killed(Reason::Nonsense(words)));
                        }
                        None => life.watch.note_end(Instant::now()),
                    }
                }
                Incident::Dumped(memory) => life.memory = Some(memory),
                Incident::Ended(end) => {
                    life.ended = Some(end);
                    life.watch.note_end(Instant::now());
                }
                Incident::Away(limit) => life.watch.note_away(limit, Instant::now()),
                Incident::Interrupted => self.interrupt(life),
            }
        }
        match life.stop.take() {
            Some(Stop::Done) => Fate::Done,
            Some(Stop::Broken(verdict, reason)) => Fate::Broken { verdict, reason },
            Some(Stop::Refused(verdict, reason)) => {
                Fate::Refused { verdict, reason, console: life.incidents.console() }
            }
            Some(Stop::Discarded) => Fate::Discarded,
            Some(Stop::Killed(reason)) => self.died(life, Some(&reason)),
            None => self.died(life, None),
        }
    }

    fn interrupt(&self, life: &mut Life) {
        if life.stop.is_none() {
            life.kill(Stop::Broken(Verdict::Miss, self.board.why_stopped()));
        }
    }

    /// Reports a death. One before the guest was ready may be the fault of its snapshot.
    fn died(&self, life: &mut Life, reason: Option<&Reason>) -> Fate {
        let end = life.ended.take().unwrap_or(End::Killed);
        let cell = life.conversation.running().map(Running::index);
        let moment = match (life.conversation.guest(), cell) {
            (None, _) => Moment::Booting,
            (Some(_), Some(_)) => Moment::Cell,
            (Some(_), None) => Moment::Between,
        };
        let console = life.incidents.console();
        let recent = moment.recent(&life.incidents, life.ordered);
        let mut cause = death::cause(moment, &console, &recent, &end, reason);
        if end == End::Rebooted && self.plan().pool.kernel().is_some() {
            // By its kernel, its firmware, its power, or somebody.
            cause = cause.of_reboot();
        } else if self.plan().pool.is_metal() {
            cause = cause.on_metal(&end, reason);
        }
        let discarded = moment == Moment::Booting && life.snapshot.is_some();
        if let (true, Some(snapshot)) = (discarded, &life.snapshot) {
            cause.title = format!("restored from {snapshot}: {}", cause.title);
            life.machine.discard_snapshot();
        }
        self.board.emit(Event::Death(Death {
            lane: self.post.lane,
            boot: self.post.boot,
            end,
            cause: cause.line(moment),
            blame: cause.blame,
            cell: cell.map(|index| self.plan().cells[index].name()),
            console: console.clone(),
            memory: life.memory.take(),
        }));
        if discarded {
            return Fate::Discarded;
        }
        Fate::Died { cell, moment, cause, console, snapshot: life.snapshot.clone() }
    }

    /// Hears a message and does what follows from it.
    fn hear(&self, life: &mut Life, message: Message) -> Result<(), Stop> {
        let step = life.conversation.hear(message).map_err(|misheard| match misheard {
            Misheard::Protocol(protocol) => {
                let why = format!("the agent speaks protocol {protocol} and perfsec {PROTOCOL}");
                Stop::Broken(Verdict::Error, why)
            }
            Misheard::Nonsense(words) => {
                Stop::Killed(Reason::Nonsense(format!("the agent spoke nonsense ({words})")))
            }
        })?;
        life.watch.note_progress(Instant::now());
        if self.board.is_broken(self.post.lane) {
            return Err(Stop::Done);
        }
        match step {
            Step::Listen => Ok(()),
            Step::Begin => {
                if !self.board.manner.cold && self.plan().uses_snapshots() {
                    life.machine.save();
                }
                self.begin(life);
                Ok(())
            }
            Step::Check => self.check(life),
            Step::Give => self.give(life),
            Step::Judge(cell, outcome) => self.judge(life, &cell, *outcome),
            Step::Cover(coverage) => {
                self.note_coverage(coverage);
                Ok(())
            }
            Step::Refuse(refusal) => Err(self.refusal(life, &readback::refusal_text(&refusal))),
            Step::GiveUp(refusal) => {
                let why = clipped(&readback::refusal_text(&refusal));
                Err(Stop::Killed(Reason::Nonsense(format!("the agent gave up: {why}"))))
            }
            Step::End => Err(Stop::Done),
        }
    }

    /// Lets the agent read its guest back.
    fn begin(&self, life: &mut Life) {
        let Terms { nonce, kernel_config, .. } = life.terms;
        let lane = life.lane.clone();
        life.order(&Order::Begin { lane, nonce, kernel_config });
    }

    /// Compares the guest with what the lane needs.
    fn check(&self, life: &mut Life) -> Result<(), Stop> {
        let Some(guest) = life.guest() else { return Ok(()) };
        let ReadBack { facts, config } = &*guest;
        let plan = self.plan();
        let other_kernel = readback::other_kernel(&plan.kernel, facts);
        // Our policies must define what cases ask about; of another, the answers count.
        let ours = plan.presumes_our_policy();
        let difference = readback::difference(plan.boot, ours, facts);
        self.board.emit(Event::Ready(LaneReady {
            lane: self.post.lane,
            boot: self.post.boot,
            millis: life.started.elapsed().as_millis() as u64,
            restored: life.snapshot.is_some(),
            facts: facts.clone(),
        }));
        if let Some(difference) = other_kernel {
            return Err(self.mistake(life, &difference));
        }
        if let Some(difference) = difference {
            return Err(self.refusal(life, &difference));
        }
        self.board.note_ready(self.post, facts.machine.clone(), config.clone());
        self.give(life)
    }

    /// A refusal of the lane, unless the guest's snapshot may be to blame.
    fn refusal(&self, life: &mut Life, reason: &str) -> Stop {
        if life.snapshot.is_none() {
            return Stop::Refused(Verdict::Error, clipped(reason));
        }
        life.machine.discard_snapshot();
        Stop::Discarded
    }

    /// The end of a lane whose kernel is not what perfsec took it for, unless the guest's snapshot
    /// may be to blame.
    fn mistake(&self, life: &mut Life, reason: &str) -> Stop {
        match self.refusal(life, reason) {
            Stop::Refused(verdict, reason) => Stop::Broken(verdict, reason),
            stop => stop,
        }
    }

    /// Gives the guest its next cells, or ends it.
    fn give(&self, life: &mut Life) -> Result<(), Stop> {
        let plan = self.plan();
        let guest = life.guest();
        let config = guest.as_ref().and_then(|guest| guest.config.as_ref());
        let given = self.board.give(self.post.guest);
        let debug = limits::is_debug(plan.kernel.config.as_ref().or(config));
        let limit = |given: &Given| plan.cell_limit(given.cell, self.limits(), debug);
        let longest = given.iter().map(limit).max().unwrap_or_default();
        let wire = |given: &Given| {
            let cell = &plan.cells[given.cell];
            let policy = plan.policies.get(cell.case.policy.as_deref());
            cell.wire(given.cell, given.context, policy, limit(given))
        };
        let cells: Vec<_> = given.iter().map(wire).collect();
        let context = |cell: &perfsec_wire::Cell| (cell.id, cell.subject.context.clone());
        life.conversation.note_order(cells.iter().map(context));
        life.watch.note_order(longest, Instant::now());
        life.ordered = life.incidents.printed();
        let order = if cells.is_empty() { Order::End } else { Order::Cells(cells) };
        life.order(&order);
        Ok(())
    }

    /// Judges a cell that the guest finished.
    fn judge(&self, life: &mut Life, cell: &Running, outcome: CellOutcome) -> Result<(), Stop> {
        let Some(guest) = life.guest() else { return Ok(()) };
        let (plan, index) = (self.plan(), cell.index());
        let circumstances = plan.circumstances(guest.config.as_ref(), Some(&guest.facts.machine));
        let mut judgement =
            plan.judge(index, &outcome, &cell.context, &guest.facts, &circumstances);
        if matches!(&outcome, CellOutcome::Observed(seen) if seen.exit == Exit::Overdue) {
            let debug = limits::is_debug(circumstances.config);
            let seconds = plan.cell_limit(index, self.limits(), debug).as_secs();
            let reason = judgement.reason.unwrap_or_default();
            judgement.reason = Some(format!("{reason}: the cell limit is {seconds} s"));
        }
        let observation = match outcome {
            CellOutcome::Observed(observation) if judgement.verdict != Verdict::Skip => {
                Some(observation)
            }
            CellOutcome::Answered(answers) => {
                self.note_answers(index, &answers);
                None
            }
            CellOutcome::Observed(_) | CellOutcome::Failed(_) | CellOutcome::NoProgram(_) => None,
        };
        life.finished += 1;
        let snapshot = life.snapshot.clone();
        let ran = Ran { boot: self.post.boot, judgement, observation, snapshot };
        self.board.take(self.post, index, ran);
        Ok(())
    }
}

impl Visit<'_, '_> {
    fn note_coverage(&self, coverage: Box<Coverage>) {
        let Post { lane, boot, .. } = self.post;
        self.board.emit(Event::Coverage(BootCoverage { lane, boot, coverage }));
    }

    /// Reports the answers of a policy, if they are any policy's.
    fn note_answers(&self, number: usize, answers: &PolicyAnswers) {
        let Post { lane, boot, .. } = self.post;
        let plan = self.plan();
        let cell = &plan.cells[number];
        if let Ok(vectors) = policy::vectors(&cell.asks, answers) {
            let policy = plan.policies.get(cell.case.policy.as_deref()).name.clone();
            let allows_unknown = !answers.deny_unknown;
            let (agent, aliases) = (answers.agent.clone(), answers.aliases.clone());
            let answers =
                LaneAnswers { lane, boot, number, policy, agent, aliases, allows_unknown, vectors };
            self.board.emit(Event::Answers(answers));
        }
    }
}

impl Life {
    /// Sends an order. If it does not arrive, the guest is most likely dying, and its end says why.
    fn order(&mut self, order: &Order) {
        if let Err(error) = self.machine.order(order) {
            let words = format!("the agent took no order: {error}");
            self.kill(Stop::Killed(Reason::Unreachable(words)));
        }
    }

    /// Kills the guest. The first reason counts.
    fn kill(&mut self, stop: Stop) {
        self.stop.get_or_insert(stop);
        self.machine.kill();
        self.watch.note_end(Instant::now());
    }

    fn guest(&self) -> Option<Arc<ReadBack>> {
        self.conversation.guest().cloned()
    }
}

/// The beginning of a text of the guest's.
fn clipped(text: &str) -> String {
    match text.floor_char_boundary(REASON_LIMIT) {
        end if end < text.len() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}
