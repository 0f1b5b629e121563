//! Runs lanes on several guests at a time.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use super::board::{Board, Manner};
use super::guest::Visit;
use super::{EngineError, LanePlan};
use crate::interrupt::Interrupt;
use crate::record::{self, Digest, Event, Run, RunEnded, RunStarted, Selection};

/// A run that has ended, and what stopped it early, if anything did. What the cells observed is in
/// the record only, so memory does not grow with their number.
#[derive(Debug)]
pub struct Execution {
    /// The digest of the run, as far as it got.
    pub digest: Digest,
    /// Path of the run record.
    pub record: PathBuf,
    pub(super) failure: Option<EngineError>,
}

impl Execution {
    /// Reads the run from its record, as far as it got.
    ///
    /// # Errors
    ///
    /// Returns an error if the record cannot be read.
    pub fn read(&self) -> Result<Run, EngineError> {
        Ok(record::read(&self.record)?.run)
    }

    /// The digest of the run, unless a machine or a subscriber failed.
    ///
    /// # Errors
    ///
    /// Returns the error of the machine or subscriber that failed first.
    pub fn ended(self) -> Result<Digest, EngineError> {
        self.failure.map_or(Ok(self.digest), Err)
    }

    /// The run, read from its record, unless a machine or a subscriber failed.
    ///
    /// # Errors
    ///
    /// Returns the error of the machine or subscriber that failed first, or an error if the record
    /// cannot be read.
    pub fn whole(self) -> Result<Run, EngineError> {
        match self.failure {
            Some(error) => Err(error),
            None => self.read(),
        }
    }
}

/// Runs lanes on `jobs` guests at a time, and passes every event to `subscribe`, one at a time and
/// in order. If the subscriber fails, all lanes stop; if a machine fails, only its lane does.
/// Returns the digest of the run and the first failure.
pub(super) fn execute(
    plans: &[LanePlan],
    asked: Selection,
    manner: Manner,
    jobs: usize,
    interrupt: &Interrupt,
    mut subscribe: impl FnMut(&Event) -> Result<(), EngineError>,
) -> (Digest, Option<EngineError>) {
    let started = Instant::now();
    // A subscriber that fails stops this run, not whatever else the user's interrupt stops.
    let stop = Interrupt::default();
    interrupt.on_raise({
        let stop = stop.clone();
        move || stop.raise()
    });
    let mut failure: Option<EngineError> = None;
    let begin = RunStarted::now(plans.iter().map(|plan| plan.cells.len()).sum(), asked);
    let mut digest = Digest::new(begin.clone());
    let mut publish = |event: Event, digest: &mut Digest| {
        if let (Err(error), None) = (subscribe(&event), &failure) {
            failure = Some(error);
            stop.raise();
        }
        if !matches!(event, Event::Run(_)) {
            digest.take(event).expect("lanes emit events in order");
        }
    };
    publish(Event::Run(begin), &mut digest);
    let (sink, events) = mpsc::channel();
    let stop = &stop;
    let board = Board::new(plans, manner, started, stop, sink);
    let error = thread::scope(|scope| {
        let workers = scope.spawn(move || {
            board.begin();
            thread::scope(|scope| {
                for _ in 0..jobs.max(1) {
                    scope.spawn(|| work(&board));
                }
            });
            // Drops the sink, which ends the events.
            board.into_error()
        });
        let deadline = manner.limits.run.map(|limit| started + limit);
        loop {
            let next = match deadline.filter(|_| !stop.is_raised()) {
                Some(deadline) => {
                    events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
                }
                None => events.recv().map_err(Into::into),
            };
            match next {
                Ok(event) => publish(event, &mut digest),
                // The run's limit: every guest ends, and the cells that are left get MISS.
                Err(RecvTimeoutError::Timeout) => stop.raise(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        workers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let end = RunEnded {
        counts: digest.counts().iter().collect(),
        interrupted: stop.is_raised(),
        millis: started.elapsed().as_millis() as u64,
    };
    publish(Event::End(end), &mut digest);
    (digest, failure.or(error.map(EngineError::from)))
}

/// Starts guests where they are needed until everything has run. Every cell gets exactly one
/// [`Event::Cell`].
pub(super) fn work(board: &Board<'_>) {
    while let Some((post, cold)) = board.next() {
        let (fate, finished) = Visit { board, post, cold }.run();
        board.end(post, fate, finished);
    }
}
