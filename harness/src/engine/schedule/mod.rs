//! Decides which guest runs which cells. It knows neither machines nor threads: whoever runs the
//! guests reports what happens and when, and asks what to do next.
//!
//! Every guest of a lane can run every cell of it, so cells are handed out as guests ask for them.
//! Another guest joins a lane if it shortens it: its start must cost less than it takes over.

mod guest;
mod pace;
mod queue;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use guest::GuestState;
use pace::Pace;
use queue::Queue;
pub(super) use queue::{CellTraits, Given};

/// The most cells that a guest gets at once: their order travels once for all of them.
const LARGEST_BATCH: usize = 32;

/// The number of a guest, unique in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct GuestId(u32);

/// The next task of a free worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Start a guest of this lane and let it run cells.
    Start {
        /// Its number.
        guest: GuestId,
        /// The lane.
        lane: usize,
        /// Number of the boot in the lane, from 0.
        boot: usize,
        /// The guest must not be restored from a snapshot.
        cold: bool,
    },
    /// Wait until something changes.
    Wait,
    /// Everything has run.
    Finish,
}

/// Lanes, their waiting cells and the guests that serve them.
#[derive(Debug)]
pub(super) struct Schedule {
    lanes: Vec<LaneSchedule>,
    guests: BTreeMap<GuestId, Serving>,
    next: u32,
    /// Guests are always booted, never restored.
    cold: bool,
}

#[derive(Debug)]
struct LaneSchedule {
    queue: Queue,
    pace: Pace,
    /// Number of the next boot.
    boots: usize,
    /// No guest can be added to those that serve it.
    full: bool,
}

/// A guest that serves a lane.
#[derive(Debug)]
struct Serving {
    lane: usize,
    state: GuestState,
    /// Cells that it has been given and has not finished, in order.
    given: Vec<usize>,
    /// When it was started, and when it last finished something.
    since: Duration,
    ready: bool,
}

impl Schedule {
    /// A schedule of lanes, each with the traits of its cells and the number of its first boot.
    /// `cold` promises that no guest is restored.
    pub(super) fn new(lanes: impl Iterator<Item = (Vec<CellTraits>, usize)>, cold: bool) -> Self {
        let lane = |(traits, boots)| LaneSchedule {
            queue: Queue::new(traits),
            pace: Pace::default(),
            boots,
            full: false,
        };
        Self { lanes: lanes.map(lane).collect(), guests: BTreeMap::new(), next: 0, cold }
    }

    /// Lets a cell wait for a guest: a further time, if it ran before.
    pub(super) fn enqueue(&mut self, lane: usize, cell: usize) {
        self.lanes[lane].queue.push(cell);
    }

    /// Lets a cell wait for a guest that was not restored.
    pub(super) fn enqueue_cold(&mut self, lane: usize, cell: usize) {
        self.lanes[lane].queue.require_cold(cell);
        self.lanes[lane].queue.push(cell);
    }

    /// Forgets the waiting cells of a lane.
    pub(super) fn clear(&mut self, lane: usize) {
        self.lanes[lane].queue.clear();
    }

    /// The task of a free worker. A lane that nobody serves comes first, the one with the most cells
    /// ahead; then the lane that gains most from another guest.
    pub(super) fn next(&mut self, now: Duration) -> Task {
        let waiting = |lane: &usize| !self.lanes[*lane].queue.is_empty();
        let lanes: Vec<usize> = (0..self.lanes.len()).filter(waiting).collect();
        let unserved = lanes.iter().filter(|lane| self.unserved(**lane) > 0);
        let first = unserved.max_by_key(|lane| (self.unserved(**lane), usize::MAX - **lane));
        let gains = |lane: &&usize| self.gain(**lane) > Duration::ZERO;
        let chosen = first.or_else(|| {
            lanes.iter().filter(gains).max_by_key(|lane| (self.gain(**lane), usize::MAX - **lane))
        });
        match chosen {
            Some(lane) => self.start(*lane, now),
            None if lanes.is_empty() && self.guests.is_empty() => Task::Finish,
            None => Task::Wait,
        }
    }

    fn start(&mut self, lane: usize, now: Duration) -> Task {
        let guest = GuestId(self.next);
        self.next += 1;
        let booted = self.serving(lane).any(|serving| !serving.state.restored);
        let entry = &mut self.lanes[lane];
        let cold = self.cold || (entry.queue.has_cold() && !booted);
        let boot = entry.boots;
        entry.boots += 1;
        // Until the machine says otherwise, a guest that may be restored counts as restored.
        let state = GuestState { restored: !cold, ..GuestState::default() };
        let serving = Serving { lane, state, given: Vec::new(), since: now, ready: false };
        self.guests.insert(guest, serving);
        Task::Start { guest, lane, boot, cold }
    }

    fn serving(&self, lane: usize) -> impl Iterator<Item = &Serving> {
        self.guests.values().filter(move |serving| serving.lane == lane)
    }

    /// The number of waiting cells that no guest of the lane can run.
    fn unserved(&self, lane: usize) -> usize {
        let states: Vec<_> = self.serving(lane).map(|serving| &serving.state).collect();
        self.lanes[lane].queue.count_unfit(&states)
    }

    /// The time that one more guest saves. `g` guests need `r / g` for the rest of the cells; one
    /// that joins after `s` makes that `(r + s) / (g + 1)`.
    fn gain(&self, lane: usize) -> Duration {
        let entry = &self.lanes[lane];
        let guests = self.serving(lane).count() as u32;
        let rest = entry.pace.cell() * entry.queue.len() as u32;
        let start = entry.pace.start(!self.cold);
        if guests == 0 || entry.full {
            return Duration::ZERO;
        }
        (rest / guests).saturating_sub((rest + start) / (guests + 1))
    }

    /// Notes how a guest was started.
    pub(super) fn note_restored(&mut self, guest: GuestId, restored: bool) {
        if let Some(serving) = self.guests.get_mut(&guest) {
            serving.state.restored = restored;
        }
    }

    /// Notes that the host has no room for another guest of this lane.
    pub(super) fn stop_growing(&mut self, lane: usize) {
        self.lanes[lane].full = true;
    }

    /// Notes that a guest can run cells.
    pub(super) fn note_ready(&mut self, guest: GuestId, now: Duration) {
        if let Some(serving) = self.guests.get_mut(&guest) {
            let took = now.saturating_sub(serving.since);
            self.lanes[serving.lane].pace.note_start(took, serving.state.restored);
            (serving.since, serving.ready) = (now, true);
        }
    }

    /// Gives a guest its next cells. If it gets none, its work is done.
    pub(super) fn give(&mut self, guest: GuestId) -> Vec<Given> {
        let Some(serving) = self.guests.get(&guest) else { return Vec::new() };
        let lane = serving.lane;
        let guests = self.serving(lane).filter(|serving| serving.ready).count().max(1);
        // Half of an even share: whatever the cells cost, no guest is left with many at the end.
        // A guest alone shares with nobody.
        let share = self.lanes[lane].queue.len() / if guests > 1 { 2 * guests } else { 1 };
        let Some(serving) = self.guests.get_mut(&guest) else { return Vec::new() };
        let many = share.clamp(1, LARGEST_BATCH);
        let cells = self.lanes[lane].queue.take(&mut serving.state, many);
        serving.given.extend(cells.iter().map(|given| given.cell));
        cells
    }

    /// Notes that a guest has finished a cell. Returns false if it did not have it.
    pub(super) fn note_finished(&mut self, guest: GuestId, cell: usize, now: Duration) -> bool {
        let Some(serving) = self.guests.get_mut(&guest) else { return false };
        let Some(at) = serving.given.iter().position(|given| *given == cell) else { return false };
        serving.given.remove(at);
        let took = now.saturating_sub(serving.since);
        serving.since = now;
        let lane = &mut self.lanes[serving.lane];
        lane.pace.note_cell(took);
        lane.queue.note_run(cell);
        true
    }

    /// Notes that a guest is gone. The cells that it has not finished wait again, except the one
    /// that `killed` it; the other cells of that case come last, as they will likely kill the next.
    pub(super) fn note_end(&mut self, guest: GuestId, killed: Option<usize>) {
        let Some(serving) = self.guests.remove(&guest) else { return };
        let queue = &mut self.lanes[serving.lane].queue;
        for cell in serving.given.into_iter().filter(|cell| Some(*cell) != killed) {
            queue.push(cell);
        }
        if let Some(cell) = killed {
            queue.postpone_case_of(cell);
        }
    }

    /// The number of boots of a lane so far.
    pub(super) fn boots(&self, lane: usize) -> usize {
        self.lanes[lane].boots
    }

    /// True if no cell of a lane waits and no guest serves it.
    pub(super) fn is_over(&self, lane: usize) -> bool {
        self.lanes[lane].queue.is_empty() && self.serving(lane).next().is_none()
    }

    /// The number of guests that serve a lane.
    pub(super) fn guests(&self, lane: usize) -> usize {
        self.serving(lane).count()
    }
}
