//! Runs lanes side by side.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use super::{LanePlan, Limits, run_lane};
use crate::interrupt::Interrupt;
use crate::machines::TargetError;
use crate::record::{Event, Run, RunEnded, RunStarted, Selection};

/// A run that is over, and what kept it from being whole.
#[derive(Debug)]
pub struct Execution<E> {
    /// The run, as far as it came.
    pub run: Run,
    failure: Option<E>,
}

impl<E> Execution<E> {
    /// The run, if nothing but the kernels decided how it ended.
    ///
    /// # Errors
    ///
    /// What a subscriber or a target failed with.
    pub fn whole(self) -> Result<Run, E> {
        self.failure.map_or(Ok(self.run), Err)
    }
}

/// Runs lanes, `jobs` at a time, and passes every event to `subscribe`, one at a time and in order. When
/// a subscriber or a target fails, the other lanes are stopped.
pub fn execute<E: From<TargetError>>(
    plans: &[LanePlan],
    asked: Selection,
    limits: Limits,
    jobs: usize,
    interrupt: &Interrupt,
    mut subscribe: impl FnMut(&Event) -> Result<(), E>,
) -> Execution<E> {
    let started = Instant::now();
    let mut failure: Option<E> = None;
    let begin = RunStarted::now(plans.iter().map(|plan| plan.cells.len()).sum(), asked);
    let mut run = Run::new(begin.clone());
    let mut tell = |event: Event, run: &mut Run| {
        if let (Err(error), None) = (subscribe(&event), &failure) {
            failure = Some(error);
            interrupt.raise();
        }
        if !matches!(event, Event::Run(_)) {
            run.take(event).expect("lanes emit events in order");
        }
    };
    tell(Event::Run(begin), &mut run);
    let queue = Mutex::new(plans.iter());
    let queue = &queue;
    let errors = thread::scope(|scope| {
        let (sink, events) = mpsc::channel();
        let workers: Vec<_> = (0..jobs.min(plans.len()))
            .map(|_| {
                let sink = sink.clone();
                scope.spawn(move || work(queue, limits, interrupt, &sink))
            })
            .collect();
        drop(sink);
        events.into_iter().for_each(|event| tell(event, &mut run));
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.filter_map(|end| match end {
            Ok(result) => result.err(),
            Err(panic) => std::panic::resume_unwind(panic),
        })
        .collect::<Vec<_>>()
    });
    let end = RunEnded {
        counts: run.counts().iter().collect(),
        interrupted: interrupt.is_raised(),
        millis: started.elapsed().as_millis() as u64,
    };
    tell(Event::End(end), &mut run);
    let error = errors.into_iter().next().map(E::from);
    Execution { run, failure: failure.or(error) }
}

fn work<'a>(
    queue: &Mutex<impl Iterator<Item = &'a LanePlan>>,
    limits: Limits,
    interrupt: &Interrupt,
    sink: &Sender<Event>,
) -> Result<(), TargetError> {
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
