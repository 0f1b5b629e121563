//! A run as a whole: its events, grouped by lane.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    BootCoverage, CellResult, Death, Event, LaneEnded, LaneReady, LaneStarted, RunEnded, RunStarted,
};
use crate::judge::Verdict;

/// A run: everything that a report can use.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Run {
    /// The first event.
    pub started: RunStarted,
    /// Its lanes, in the order in which they began.
    pub lanes: Vec<LaneRun>,
    /// The last event; absent if perfsec was killed before it.
    pub end: Option<RunEnded>,
}

/// The events of one lane.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LaneRun {
    /// The kernel and the policy.
    pub started: LaneStarted,
    /// The boots that became ready.
    pub ready: Vec<LaneReady>,
    /// Results of its cells, in the order in which they ended.
    pub cells: Vec<CellResult>,
    /// Coverage of each boot, in a run that measures it.
    pub coverage: Vec<BootCoverage>,
    /// Boots that ended before all of their cells had run.
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

    /// Adds an event.
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
                self.lanes.push(LaneRun::new(*started));
            }
            Event::Ready(ready) => self.lane(ready.lane)?.ready.push(ready),
            Event::Cell(cell) => self.lane(cell.lane)?.cells.push(*cell),
            Event::Coverage(coverage) => self.lane(coverage.lane)?.coverage.push(coverage),
            Event::Death(death) => self.lane(death.lane)?.deaths.push(death),
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
            cells: Vec::new(),
            coverage: Vec::new(),
            deaths: Vec::new(),
            end: None,
        }
    }

    /// Its events, grouped by kind.
    fn events(&self) -> impl Iterator<Item = Event> {
        let ready = self.ready.iter().cloned().map(Event::Ready);
        let cells = self.cells.iter().cloned().map(|cell| Event::Cell(Box::new(cell)));
        let coverage = self.coverage.iter().cloned().map(Event::Coverage);
        let deaths = self.deaths.iter().cloned().map(Event::Death);
        std::iter::once(Event::Lane(Box::new(self.started.clone())))
            .chain(ready)
            .chain(cells)
            .chain(coverage)
            .chain(deaths)
            .chain(self.end.clone().map(Event::LaneEnd))
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

/// Number of cells by verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts(BTreeMap<Verdict, usize>);

impl VerdictCounts {
    /// Counts the verdicts of these cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a CellResult>) -> Self {
        let mut counts = BTreeMap::new();
        for cell in cells {
            *counts.entry(cell.judgement.verdict).or_insert(0) += 1;
        }
        Self(counts)
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
