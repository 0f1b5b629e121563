//! The life of one guest: it starts, is read back, runs cells as long as it gets some, and ends.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use perfsec_wire::observation::Exit;
use perfsec_wire::{CellOutcome, Facts, Lane, Message, Order, PROTOCOL, PolicyAnswers};

use super::LanePlan;
use super::attempts::Ran;
use super::board::{Board, Fate, Post};
use super::death;
use super::limits::{self, Limits};
use super::readback;
use super::schedule::Given;
use crate::judge::Verdict;
use crate::kernel::Config;
use crate::machines::{End, Guest, Incident, Load};
use crate::policy;
use crate::record::{BootCoverage, Death, Event, LaneAnswers, LaneReady};

/// Bytes of the console that are kept: the last ones.
const CONSOLE_KEPT: usize = 256 << 10;

/// A guest at its post.
pub(super) struct Visit<'b, 'a> {
    pub(super) board: &'b Board<'a>,
    pub(super) post: Post,
    /// It must not be restored from a snapshot.
    pub(super) cold: bool,
}

/// The state of a guest while it lasts.
struct Life {
    machine: Box<dyn Guest>,
    lane: Lane,
    started: Instant,
    nonce: u64,
    snapshot: Option<String>,
    /// Contexts of the subjects of the cells that it got.
    contexts: HashMap<usize, String>,
    facts: Option<Box<Facts>>,
    /// The configuration that the guest showed.
    config: Option<Config>,
    current: Option<usize>,
    finished: usize,
    covered: bool,
    console: Vec<u8>,
    done: bool,
    /// How long it may be silent now.
    silence: Duration,
}

/// The reason why a guest cannot go on.
enum Stop {
    /// The lane cannot go on either.
    Broken(Verdict, String),
    /// It is not what the lane needs.
    Refused(Verdict, String),
    /// perfsec stopped it to do without its snapshot.
    Discarded,
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
        let (sink, incidents) = mpsc::channel();
        self.board.interrupt.on_raise({
            let sink = sink.clone();
            // Nobody listens once the guest is gone.
            move || drop(sink.send(Incident::Interrupted))
        });
        let plan = self.plan();
        let mut load = Load::new(plan.boot, &plan.policies);
        load.preparation.coverage.clone_from(&plan.coverage);
        let started = Instant::now();
        // A snapshot would have to be taken anew for each set of traced functions.
        let cold = self.cold || plan.coverage.is_some();
        let machine = match plan.pool.boot(&plan.kernel, plan.boot, &load, cold, sink) {
            Ok(machine) => machine,
            Err(error) => return (Fate::NoMachine(error), 0),
        };
        let snapshot = machine.snapshot();
        self.board.note_restored(self.post.guest, snapshot.is_some());
        let mut life = Life {
            machine,
            lane: load.lane,
            started,
            nonce: fastrand::u64(..),
            snapshot,
            contexts: HashMap::new(),
            facts: None,
            config: None,
            current: None,
            finished: 0,
            covered: false,
            console: Vec::new(),
            done: false,
            silence: self.limits().boot,
        };
        let fate = self.live(&mut life, &incidents);
        (fate, life.finished)
    }

    fn live(&self, life: &mut Life, incidents: &Receiver<Incident>) -> Fate {
        if life.snapshot.is_some() {
            self.begin(life);
        }
        let mut overdue = None;
        let (mut silent, mut ended) = (false, None);
        let mut stop = None;
        while !(silent && ended.is_some()) {
            let limit = life.silence;
            match next(incidents, limit) {
                Some(Incident::Message(message)) if stop.is_none() => {
                    if let Err(why) = self.handle(life, message) {
                        stop = Some(why);
                        life.machine.kill();
                    } else if life.done {
                        // All it could do now is power off.
                        life.machine.kill();
                    }
                }
                Some(Incident::Message(_)) => {}
                Some(Incident::Console(bytes)) => keep(&mut life.console, &bytes),
                Some(Incident::Silence(why)) => {
                    silent = true;
                    if let Some(why) = why.filter(|_| ended.is_none() && stop.is_none()) {
                        let why = format!("the agent's channel failed: {why}");
                        stop = Some(Stop::Broken(Verdict::Error, why));
                        life.machine.kill();
                    }
                }
                Some(Incident::Ended(end)) => ended = Some(end),
                Some(Incident::Interrupted) => {
                    stop = Some(Stop::Broken(Verdict::Miss, self.board.why_stopped()));
                    life.machine.kill();
                }
                None if overdue.is_none() => {
                    let kind = if life.facts.is_some() { "silence" } else { "boot" };
                    let seconds = limit.as_secs();
                    overdue = Some(format!("nothing happened for {seconds} s, the {kind} limit"));
                    life.machine.kill();
                }
                // Killed and still there. Dropping the machine is all that is left.
                None => break,
            }
        }
        match stop {
            Some(stop) => self.stopped(life, stop),
            None if life.done => Fate::Done,
            None => self.died(life, ended.unwrap_or(End::Killed), overdue.as_deref()),
        }
    }

    fn stopped(&self, life: &Life, stop: Stop) -> Fate {
        match stop {
            Stop::Broken(verdict, reason) => Fate::Broken { verdict, reason },
            Stop::Refused(verdict, reason) => {
                Fate::Refused { verdict, reason, console: life.console() }
            }
            Stop::Discarded => Fate::Discarded,
        }
    }

    /// Reports a death. One before the guest was ready may be the fault of its snapshot.
    fn died(&self, life: &mut Life, end: End, overdue: Option<&str>) -> Fate {
        let console = life.console();
        let mut cause = death::cause(&console, &end, overdue);
        let discarded = life.facts.is_none() && life.snapshot.is_some();
        if let (true, Some(snapshot)) = (discarded, &life.snapshot) {
            cause.title = format!("restored from {snapshot}: {}", cause.title);
            life.machine.discard_snapshot();
        }
        self.board.emit(Event::Death(Death {
            lane: self.post.lane,
            boot: self.post.boot,
            end,
            cause: cause.title.clone(),
            cell: life.current.map(|index| self.plan().cells[index].name()),
            console: console.clone(),
        }));
        if discarded {
            return Fate::Discarded;
        }
        let (cell, ready) = (life.current, life.facts.is_some());
        Fate::Died { cell, ready, cause, console, snapshot: life.snapshot.clone() }
    }

    /// Handles a message.
    fn handle(&self, life: &mut Life, message: Message) -> Result<(), Stop> {
        match message {
            Message::Hello { protocol: PROTOCOL, .. } => Ok(()),
            Message::Hello { protocol, .. } => {
                let why = format!("the agent speaks protocol {protocol} and perfsec {PROTOCOL}");
                Err(Stop::Broken(Verdict::Error, why))
            }
            Message::Refused(refusal) => Err(self.refusal(life, readback::refusal_text(&refusal))),
            Message::Parked => {
                // A snapshot is not made for one set of traced functions.
                if !self.board.manner.cold && self.plan().coverage.is_none() {
                    life.machine.save();
                }
                self.begin(life);
                Ok(())
            }
            // Handled by the machine, which reads the channel.
            Message::Moved => Ok(()),
            Message::KernelConfig(packed) => {
                life.config = Config::unpack(&packed);
                Ok(())
            }
            Message::Ready { nonce, facts } => self.ready(life, nonce, facts),
            Message::Started(id) => {
                let index = id as usize;
                life.current = life.contexts.contains_key(&index).then_some(index);
                Ok(())
            }
            Message::Finished(id, outcome) => self.finish(life, id, outcome),
            Message::Idle => self.give(life),
            Message::Coverage(coverage) => {
                if self.plan().coverage.is_none() || std::mem::replace(&mut life.covered, true) {
                    return Err(out_of_turn("reported its coverage"));
                }
                let (lane, boot) = (self.post.lane, self.post.boot);
                self.board.emit(Event::Coverage(BootCoverage { lane, boot, coverage }));
                Ok(())
            }
            Message::Done => {
                life.done = life.contexts.is_empty();
                if life.done { Ok(()) } else { Err(out_of_turn("ended")) }
            }
        }
    }

    /// Lets the agent read its guest back.
    fn begin(&self, life: &mut Life) {
        let kernel_config = self.plan().kernel.config.is_none();
        let (lane, nonce) = (life.lane.clone(), life.nonce);
        life.order(&Order::Begin { lane, nonce, kernel_config });
    }

    fn ready(&self, life: &mut Life, nonce: u64, facts: Box<Facts>) -> Result<(), Stop> {
        if nonce != life.nonce || life.facts.is_some() {
            return Err(out_of_turn("became ready"));
        }
        let plan = self.plan();
        let difference = readback::difference(&plan.kernel, plan.boot, &facts);
        self.board.emit(Event::Ready(LaneReady {
            lane: self.post.lane,
            boot: self.post.boot,
            millis: life.started.elapsed().as_millis() as u64,
            restored: life.snapshot.is_some(),
            facts: facts.clone(),
        }));
        if let Some(difference) = difference {
            return Err(self.refusal(life, difference));
        }
        self.board.note_ready(self.post, facts.machine.clone(), life.config.clone());
        life.facts = Some(facts);
        self.give(life)
    }

    /// A refusal of the lane, unless the guest's snapshot may be to blame.
    fn refusal(&self, life: &mut Life, reason: String) -> Stop {
        if life.snapshot.is_none() {
            return Stop::Refused(Verdict::Error, reason);
        }
        life.machine.discard_snapshot();
        Stop::Discarded
    }

    /// Gives the guest its next cells, or ends it.
    fn give(&self, life: &mut Life) -> Result<(), Stop> {
        if life.facts.is_none() || !life.contexts.is_empty() {
            return Err(out_of_turn("asked for cells"));
        }
        let plan = self.plan();
        let given = self.board.give(self.post.guest);
        let debug = limits::is_debug(plan.kernel.config.as_ref().or(life.config.as_ref()));
        let limit = |given: &Given| plan.cell_limit(given.cell, self.limits(), debug);
        let longest = given.iter().map(limit).max().unwrap_or_default();
        life.silence = self.limits().silence(longest);
        let wire = |given: &Given| {
            let cell = &plan.cells[given.cell];
            let policy = plan.policies.get(cell.case.policy.as_deref());
            cell.wire(given.cell, given.context, policy, limit(given))
        };
        let cells: Vec<_> = given.iter().map(wire).collect();
        let context = |cell: &perfsec_wire::Cell| (cell.id as usize, cell.subject.context.clone());
        life.contexts = cells.iter().map(context).collect();
        let order = if cells.is_empty() { Order::End } else { Order::Cells(cells) };
        life.order(&order);
        Ok(())
    }

    fn finish(&self, life: &mut Life, id: u32, outcome: CellOutcome) -> Result<(), Stop> {
        let index = id as usize;
        let wrong = || out_of_turn(&format!("finished cell {id}"));
        let context = life.contexts.remove(&index).filter(|_| life.current == Some(index));
        let (Some(context), Some(facts)) = (context, &life.facts) else { return Err(wrong()) };
        let plan = self.plan();
        let circumstances = plan.circumstances(life.config.as_ref(), Some(&facts.machine));
        let mut judgement = plan.judge(index, &outcome, &context, facts, &circumstances);
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
            CellOutcome::Observed(_) | CellOutcome::Failed(_) => None,
        };
        life.current = None;
        life.finished += 1;
        let snapshot = life.snapshot.clone();
        let ran = Ran { boot: self.post.boot, judgement, observation, snapshot };
        if self.board.take(self.post, index, ran) { Ok(()) } else { Err(wrong()) }
    }
}

impl Visit<'_, '_> {
    /// Reports the answers of a policy, if they are any policy's.
    fn note_answers(&self, number: usize, answers: &PolicyAnswers) {
        let Post { lane, boot, .. } = self.post;
        let plan = self.plan();
        let cell = &plan.cells[number];
        if let Ok(vectors) = policy::vectors(&cell.asks, answers) {
            let policy = plan.policies.get(cell.case.policy.as_deref()).name.clone();
            let allows_unknown = !answers.deny_unknown;
            let answers = LaneAnswers { lane, boot, number, policy, allows_unknown, vectors };
            self.board.emit(Event::Answers(answers));
        }
    }
}

impl Life {
    /// Sends an order. One that does not arrive is no reason to stop: the guest is dying, and its
    /// end says why.
    fn order(&mut self, order: &Order) {
        if let Err(_unsent) = self.machine.order(order) {
            self.machine.kill();
        }
    }

    fn console(&self) -> String {
        String::from_utf8_lossy(&self.console).into_owned()
    }
}

fn out_of_turn(what: &str) -> Stop {
    Stop::Broken(Verdict::Error, format!("the agent {what} out of turn"))
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
