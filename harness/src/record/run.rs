//! A run as a whole: its events, grouped by lane.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    BootCoverage, CellResult, Death, Event, LaneAnswers, LaneEnded, LaneReady, LaneStarted,
    RunEnded, RunStarted,
};
use crate::judge::Verdict;

/// A run: everything that a report can use.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Run {
    /// The first event.
    pub started: RunStarted,
    /// Its lanes, by number.
    pub lanes: Vec<LaneRun>,
    /// The last event; absent if perfsec was killed before it.
    pub end: Option<RunEnded>,
}

/// The events of one lane.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LaneRun {
    /// The kernel and the policy.
    pub started: LaneStarted,
    /// The boots that became ready, by number.
    pub ready: Vec<LaneReady>,
    /// The answers of its policies, by the number of the cell that asked.
    pub answers: Vec<LaneAnswers>,
    /// Results of its cells, by number.
    pub cells: Vec<CellResult>,
    /// Coverage of each boot, by number, in a run that measures it.
    pub coverage: Vec<BootCoverage>,
    /// Boots that ended before all of their cells had run, by number.
    pub deaths: Vec<Death>,
    /// The end of the lane; absent if perfsec was killed before it.
    pub end: Option<LaneEnded>,
}

/// An event does not fit the events before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MisplacedEvent {
    /// The first event is not [`Event::Run`].
    #[error("the first event is not `run`")]
    NoBeginning,
    /// A second [`Event::Run`].
    #[error("the run has already begun")]
    SecondBeginning,
    /// An event of a lane that has not begun.
    #[error("lane {0} has not begun")]
    NoLane(usize),
    /// A second [`Event::Lane`] with the same number.
    #[error("lane {0} has already begun")]
    SecondLane(usize),
    /// A second [`Event::Cell`] with the same number in its lane.
    #[error("cell {number} of lane {lane} already has a result")]
    SecondCell {
        /// The lane.
        lane: usize,
        /// The cell's number in the lane.
        number: usize,
    },
    /// An event after the end.
    #[error("the run is over")]
    AfterTheEnd,
}

impl Run {
    /// A run that has just begun.
    #[must_use]
    pub fn new(started: RunStarted) -> Self {
        Self { started, lanes: Vec::new(), end: None }
    }

    /// Builds the run from its events.
    ///
    /// # Errors
    ///
    /// If an event does not fit the events before it.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Result<Self, MisplacedEvent> {
        let mut events = events.into_iter();
        let Some(Event::Run(started)) = events.next() else {
            return Err(MisplacedEvent::NoBeginning);
        };
        let mut run = Self::new(started);
        events.try_for_each(|event| run.take(event))?;
        Ok(run)
    }

    /// Adds an event. Events of different lanes may come in any order, and so may those of one lane
    /// after its beginning.
    ///
    /// # Errors
    ///
    /// If it does not fit the events before it; the run is then unchanged.
    pub fn take(&mut self, event: Event) -> Result<(), MisplacedEvent> {
        if self.end.is_some() {
            return Err(MisplacedEvent::AfterTheEnd);
        }
        match event {
            Event::Run(_) => return Err(MisplacedEvent::SecondBeginning),
            Event::Lane(started) => {
                if self.lane(started.lane).is_ok() {
                    return Err(MisplacedEvent::SecondLane(started.lane));
                }
                insert(&mut self.lanes, LaneRun::new(*started), |lane| lane.started.lane);
            }
            Event::Ready(ready) => {
                insert(&mut self.lane(ready.lane)?.ready, ready, |ready| ready.boot);
            }
            Event::Answers(answers) => {
                insert(&mut self.lane(answers.lane)?.answers, answers, |it| it.number);
            }
            Event::Cell(cell) => {
                let (lane, number) = (cell.lane, cell.number);
                let cells = &mut self.lane(lane)?.cells;
                let Err(place) = cells.binary_search_by_key(&number, |cell| cell.number) else {
                    return Err(MisplacedEvent::SecondCell { lane, number });
                };
                cells.insert(place, *cell);
            }
            Event::Coverage(coverage) => {
                insert(&mut self.lane(coverage.lane)?.coverage, coverage, |it| it.boot);
            }
            Event::Death(death) => {
                insert(&mut self.lane(death.lane)?.deaths, death, |death| death.boot);
            }
            Event::LaneEnd(end) => {
                let lane = self.lane(end.lane)?;
                lane.end = Some(end);
            }
            Event::End(end) => self.end = Some(end),
        }
        Ok(())
    }

    /// Its events, lane by lane.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let lanes = self.lanes.iter().flat_map(LaneRun::events);
        std::iter::once(Event::Run(self.started.clone()))
            .chain(lanes)
            .chain(self.end.clone().map(Event::End))
    }

    fn lane(&mut self, number: usize) -> Result<&mut LaneRun, MisplacedEvent> {
        let lane = self.lanes.iter_mut().find(|lane| lane.started.lane == number);
        lane.ok_or(MisplacedEvent::NoLane(number))
    }

    /// Results of the cells of all lanes.
    pub fn cells(&self) -> impl Iterator<Item = &CellResult> {
        self.lanes.iter().flat_map(|lane| &lane.cells)
    }

    /// Number of cells by verdict.
    #[must_use]
    pub fn counts(&self) -> VerdictCounts {
        VerdictCounts::of(self.cells())
    }

    /// Number of cells without a result, because the run ended before them.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.started.cells.saturating_sub(self.cells().count())
    }
}

impl LaneRun {
    /// A lane that has just begun.
    #[must_use]
    pub fn new(started: LaneStarted) -> Self {
        Self {
            started,
            ready: Vec::new(),
            answers: Vec::new(),
            cells: Vec::new(),
            coverage: Vec::new(),
            deaths: Vec::new(),
            end: None,
        }
    }

    /// Its events, in the order of a finished record.
    fn events(&self) -> impl Iterator<Item = Event> {
        let ready = self.ready.iter().cloned().map(Event::Ready);
        let coverage = self.coverage.iter().cloned().map(Event::Coverage);
        let deaths = self.deaths.iter().cloned().map(Event::Death);
        let mut boots: Vec<_> = ready.chain(coverage).chain(deaths).collect();
        boots.sort_by_key(Event::place);
        let answers = self.answers.iter().cloned().map(Event::Answers);
        let cells = self.cells.iter().cloned().map(|cell| Event::Cell(Box::new(cell)));
        let mut cells: Vec<_> = answers.chain(cells).collect();
        cells.sort_by_key(Event::place);
        std::iter::once(Event::Lane(Box::new(self.started.clone())))
            .chain(boots)
            .chain(cells)
            .chain(self.end.clone().map(Event::LaneEnd))
    }

    /// Number of guests that were restored from a snapshot.
    #[must_use]
    pub fn restored(&self) -> usize {
        self.ready.iter().filter(|ready| ready.restored).count()
    }

    /// The reason why nothing could be tested, if so.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        Some(self.end.as_ref()?.refused.as_ref()?.reason.as_str())
    }

    /// Number of cells by verdict.
    #[must_use]
    pub fn counts(&self) -> VerdictCounts {
        VerdictCounts::of(&self.cells)
    }
}

/// Inserts an item into a sorted list, after those with an equal key.
fn insert<T>(list: &mut Vec<T>, item: T, key: impl Fn(&T) -> usize) {
    let place = list.partition_point(|other| key(other) <= key(&item));
    list.insert(place, item);
}

/// Number of cells by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts(BTreeMap<Verdict, usize>);

impl VerdictCounts {
    /// Counts the verdicts of these cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a CellResult>) -> Self {
        let mut counts = Self::default();
        cells.into_iter().for_each(|cell| counts.add(cell.judgement.verdict, 1));
        counts
    }

    /// Adds cells with this verdict.
    pub(super) fn add(&mut self, verdict: Verdict, count: usize) {
        *self.0.entry(verdict).or_default() += count;
    }

    /// Number of cells with this verdict.
    #[must_use]
    pub fn get(&self, verdict: Verdict) -> usize {
        self.0.get(&verdict).copied().unwrap_or_default()
    }

    /// The verdicts that occur, with their number, in the order of [`Verdict::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Verdict, usize)> {
        Verdict::ALL.into_iter().filter_map(|verdict| Some((verdict, *self.0.get(&verdict)?)))
    }

    /// Number of cells.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for VerdictCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no cell");
        }
        let words: Vec<_> =
            self.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
        f.write_str(&words.join(", "))
    }
}
