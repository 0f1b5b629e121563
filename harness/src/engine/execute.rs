//! Runs lanes side by side.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use super::{EngineError, LanePlan, Limits, run_lane};
use crate::interrupt::Interrupt;
use crate::machines::MachineError;
use crate::record::{Event, Run, RunEnded, RunStarted, Selection};

/// A run that has ended, and what stopped it early, if anything did.
#[derive(Debug)]
pub struct Execution {
    /// The run, as far as it got.
    pub run: Run,
    /// Path of the run record.
    pub record: PathBuf,
    pub(super) failure: Option<EngineError>,
}

impl Execution {
    /// The run, unless a machine or a subscriber failed.
    ///
    /// # Errors
    ///
    /// Returns the error of the machine or subscriber that failed first.
    pub fn whole(self) -> Result<Run, EngineError> {
        self.failure.map_or(Ok(self.run), Err)
    }
}

/// Runs lanes, `jobs` at a time, and passes every event to `subscribe`, one at a time and in order.
/// If the subscriber fails, all lanes stop; if a machine fails, only its lane does. Returns the run
/// and the first failure.
pub(super) fn execute(
    plans: &[LanePlan],
    asked: Selection,
    limits: Limits,
    jobs: usize,
    interrupt: &Interrupt,
    mut subscribe: impl FnMut(&Event) -> Result<(), EngineError>,
) -> (Run, Option<EngineError>) {
    let started = Instant::now();
    // A subscriber that fails stops this run, not whatever else the user's interrupt stops.
    let stop = Interrupt::default();
    interrupt.on_raise({
        let stop = stop.clone();
        move || stop.raise()
    });
    let mut failure: Option<EngineError> = None;
    let begin = RunStarted::now(plans.iter().map(|plan| plan.cells.len()).sum(), asked);
    let mut run = Run::new(begin.clone());
    let mut publish = |event: Event, run: &mut Run| {
        if let (Err(error), None) = (subscribe(&event), &failure) {
            failure = Some(error);
            stop.raise();
        }
        if !matches!(event, Event::Run(_)) {
            run.take(event).expect("lanes emit events in order");
        }
    };
    publish(Event::Run(begin), &mut run);
    let queue = Mutex::new(plans.iter());
    let (queue, stop) = (&queue, &stop);
    let errors = thread::scope(|scope| {
        let (sink, events) = mpsc::channel();
        let workers: Vec<_> = (0..jobs.min(plans.len()))
            .map(|_| {
                let sink = sink.clone();
                scope.spawn(move || work(queue, limits, stop, &sink))
            })
            .collect();
        drop(sink);
        events.into_iter().for_each(|event| publish(event, &mut run));
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.filter_map(|end| match end {
            Ok(result) => result.err(),
            Err(panic) => std::panic::resume_unwind(panic),
        })
        .collect::<Vec<_>>()
    });
    let end = RunEnded {
        counts: run.counts().iter().collect(),
        interrupted: stop.is_raised(),
        millis: started.elapsed().as_millis() as u64,
    };
    publish(Event::End(end), &mut run);
    let error = errors.into_iter().next().map(EngineError::from);
    (run, failure.or(error))
}

fn work<'a>(
    queue: &Mutex<impl Iterator<Item = &'a LanePlan>>,
    limits: Limits,
    interrupt: &Interrupt,
    sink: &Sender<Event>,
) -> Result<(), MachineError> {
    // The receiver outlives every worker.
    let emit = |event| drop(sink.send(event));
    let mut result = Ok(());
    loop {
        let next = queue.lock().ok().and_then(|mut plans| plans.next());
        let Some(plan) = next else { return result };
        if let Err(error) = run_lane(plan, limits, interrupt, &emit) {
            result = Err(error);
        }
    }
}
