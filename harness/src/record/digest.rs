//! What remains of a run at its end: the counts, and the cells that did not pass.
//!
//! Memory does not grow with the number of cells that passed or were skipped, and by a name for a
//! cell that differs in the same way as another one. Everything else is in the record.

use std::collections::BTreeMap;

use super::{
    CellResult, Death, Event, LaneEnded, LaneStarted, MisplacedEvent, Run, RunEnded, RunStarted,
    VerdictCounts,
};
use crate::judge::Verdict;
use crate::kernel::Kernel;

/// Number of lines of a dead guest's console that are kept: the last ones.
pub const CONSOLE_LINES: usize = 30;

/// A run without what its cells observed.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The first event.
    pub started: RunStarted,
    /// The last event; absent if perfsec was killed before it.
    pub end: Option<RunEnded>,
    lanes: BTreeMap<usize, LaneDigest>,
}

/// A lane without what its cells observed.
#[derive(Clone, Debug)]
pub struct LaneDigest {
    /// The kernel, without its configuration, and the policy.
    pub started: LaneStarted,
    /// Number of cells by verdict.
    pub counts: VerdictCounts,
    /// Number of guests that were restored from a snapshot.
    pub restored: usize,
    /// Boots that ended before all of their cells had run, by number; with the end of the console.
    pub deaths: Vec<Death>,
    /// Number of skipped cells by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Number of cells whose capability checks could not be observed, by reason.
    pub unseen_checks: BTreeMap<String, usize>,
    /// The bad cells, in groups that differ in the same way, by the number of the first cell.
    pub bad: Vec<AlikeCells>,
    /// The cells whose known difference is gone: the name of each, and that of the difference.
    pub gone: Vec<(String, String)>,
    /// The end of the lane, without the console; absent if perfsec was killed before it.
    pub end: Option<LaneEnded>,
}

/// Cells that differ from their expectations in the same way.
#[derive(Clone, Debug)]
pub struct AlikeCells {
    /// The first one, without its observation.
    pub first: CellResult,
    /// Numbers and names of the others, in order.
    pub others: BTreeMap<usize, String>,
}

impl Digest {
    /// The digest of a run that has just begun.
    #[must_use]
    pub fn new(started: RunStarted) -> Self {
        Self { started, end: None, lanes: BTreeMap::new() }
    }

    /// The digest of a whole run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let mut digest = Self::new(run.started.clone());
        let events = run.events().filter(|event| !matches!(event, Event::Run(_)));
        for event in events {
            digest.take(event).expect("a run has its events in order");
        }
        digest
    }

    /// Adds an event. The order of events does not matter, except that a lane must have begun.
    ///
    /// # Errors
    ///
    /// If the event does not fit the events before it; the digest is then unchanged.
    pub fn take(&mut self, event: Event) -> Result<(), MisplacedEvent> {
        if self.end.is_some() {
            return Err(MisplacedEvent::AfterTheEnd);
        }
        match event {
            Event::Run(_) => return Err(MisplacedEvent::SecondBeginning),
            Event::Lane(started) => {
                if self.lanes.contains_key(&started.lane) {
                    return Err(MisplacedEvent::SecondLane(started.lane));
                }
                self.lanes.insert(started.lane, LaneDigest::new(*started));
            }
            Event::Ready(ready) => {
                self.lane(ready.lane)?.restored += usize::from(ready.restored);
            }
            Event::Cell(cell) => self.lane(cell.lane)?.cell(*cell),
            Event::Answers(answers) => drop(self.lane(answers.lane)?),
            Event::Coverage(coverage) => drop(self.lane(coverage.lane)?),
            Event::Death(death) => self.lane(death.lane)?.death(death),
            Event::LaneEnd(mut end) => {
                let lane = self.lane(end.lane)?;
                if let Some(refused) = &mut end.refused {
                    refused.console = String::new();
                }
                lane.end = Some(end);
            }
            Event::End(end) => self.end = Some(end),
        }
        Ok(())
    }

    fn lane(&mut self, number: usize) -> Result<&mut LaneDigest, MisplacedEvent> {
        self.lanes.get_mut(&number).ok_or(MisplacedEvent::NoLane(number))
    }

    /// The lanes, by number.
    pub fn lanes(&self) -> impl ExactSizeIterator<Item = &LaneDigest> {
        self.lanes.values()
    }

    /// Number of cells by verdict.
    #[must_use]
    pub fn counts(&self) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        self.lanes().flat_map(|lane| lane.counts.iter()).for_each(|(it, count)| {
            counts.add(it, count);
        });
        counts
    }

    /// Number of cells without a result, because the run ended before them.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.started.cells.saturating_sub(self.counts().total())
    }
}

impl LaneDigest {
    fn new(started: LaneStarted) -> Self {
        Self {
            // A configuration has ten thousand options.
            started: LaneStarted { kernel: Kernel { config: None, ..started.kernel }, ..started },
            counts: VerdictCounts::default(),
            restored: 0,
            deaths: Vec::new(),
            skipped: BTreeMap::new(),
            unseen_checks: BTreeMap::new(),
            bad: Vec::new(),
            gone: Vec::new(),
            end: None,
        }
    }

    fn cell(&mut self, mut cell: CellResult) {
        let verdict = cell.judgement.verdict;
        self.counts.add(verdict, 1);
        let seen = cell.observation.take();
        if let Some(why) = seen.and_then(|seen| seen.caps_unseen) {
            *self.unseen_checks.entry(why).or_default() += 1;
        }
        match verdict {
            Verdict::Skip => {
                let reason = cell.judgement.reason.unwrap_or_else(|| "no reason".to_owned());
                *self.skipped.entry(reason).or_default() += 1;
            }
            Verdict::Xpass => {
                let known = cell.judgement.known.map(|known| known.name);
                self.gone.push((cell.name, known.unwrap_or_default()));
                self.gone.sort();
            }
            verdict if verdict.is_bad() => self.bad(cell),
            _ => {}
        }
    }

    fn bad(&mut self, cell: CellResult) {
        let group = self.bad.iter_mut().find(|group| group.has(&cell));
        match group {
            Some(group) => group.add(cell),
            None => self.bad.push(AlikeCells { first: cell, others: BTreeMap::new() }),
        }
        self.bad.sort_by_key(|group| group.first.number);
    }

    fn death(&mut self, mut death: Death) {
        let lines: Vec<_> = death.console.lines().collect();
        death.console = lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n");
        let place = self.deaths.partition_point(|other| other.boot <= death.boot);
        self.deaths.insert(place, death);
    }

    /// The reason why nothing could be tested, if so.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        Some(self.end.as_ref()?.refused.as_ref()?.reason.as_str())
    }
}

impl AlikeCells {
    /// True if a cell differs in the same way.
    fn has(&self, cell: &CellResult) -> bool {
        let (a, b) = (&self.first.judgement, &cell.judgement);
        let same_expectation = a.expected == b.expected || a.observed.is_empty();
        (a.verdict, &a.reason, &a.observed, &a.attempts)
            == (b.verdict, &b.reason, &b.observed, &b.attempts)
            && same_expectation
    }

    fn add(&mut self, cell: CellResult) {
        let other = if cell.number < self.first.number {
            std::mem::replace(&mut self.first, cell)
        } else {
            cell
        };
        self.others.insert(other.number, other.name);
    }

    /// Number of cells.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn run() -> Run {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        crate::record::read(&path).unwrap().run
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_of_arrival() {
        let run = run();
        let mut digest = Digest::new(run.started.clone());
        let mut events: Vec<_> = run.events().skip(1).collect();
        let end = events.pop().unwrap();
        let (begun, mut rest): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| matches!(event, Event::Lane(_)));
        rest.reverse();
        for event in begun.into_iter().chain(rest).chain([end]) {
            digest.take(event).unwrap();
        }
        assert_eq!(format!("{digest:?}"), format!("{:?}", Digest::of(&run)));
    }

    #[test]
    fn a_digest_counts_what_the_run_has() {
        let run = run();
        let digest = Digest::of(&run);
        assert_eq!((digest.counts(), digest.unseen()), (run.counts(), run.unseen()));
        for (lane, whole) in std::iter::zip(digest.lanes(), &run.lanes) {
            let bad: usize = lane.bad.iter().map(AlikeCells::count).sum();
            let wanted = whole.cells.iter().filter(|cell| cell.judgement.verdict.is_bad()).count();
            assert_eq!(bad, wanted);
        }
    }

    #[test]
    fn nothing_is_kept_of_cells_that_passed_and_one_of_those_that_fail_alike() {
        let mut run = run();
        let lane = &mut run.lanes[0];
        let is = |verdict| move |cell: &&CellResult| cell.judgement.verdict == verdict;
        let passed = lane.cells.iter().find(is(Verdict::Pass)).unwrap().clone();
        let failed = lane.cells.iter().find(is(Verdict::Fail)).unwrap().clone();
        let many = |cell: CellResult, from: usize| {
            (from..from + 1000).map(move |number| CellResult { number, ..cell.clone() })
        };
        lane.cells = many(passed, 0).chain(many(failed, 1000)).collect();
        let digest = Digest::of(&run);
        let lane = digest.lanes().next().unwrap();
        assert_eq!((lane.counts.get(Verdict::Pass), lane.bad.len()), (1000, 1));
        assert_eq!((lane.bad[0].first.number, lane.bad[0].count()), (1000, 1000));
        assert!(lane.bad[0].first.observation.is_none());
    }
}
