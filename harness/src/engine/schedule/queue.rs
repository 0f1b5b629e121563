//! The cells of a lane that wait for a guest.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use perfsec_wire::Lockdown;

use super::GuestState;
use crate::plan::CONTEXTS;

/// The properties of a cell that decide when and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct CellTraits {
    /// Cells of one case: if one kills its guest, the others come last.
    pub(in crate::engine) case: usize,
    /// The lockdown that it needs.
    pub(in crate::engine) lockdown: Lockdown,
    /// No cell can follow it in its guest.
    pub(in crate::engine) ends_guest: bool,
    /// It has a control, which comes first.
    pub(in crate::engine) has_control: bool,
    /// Cells of one policy stay together: loading another takes time.
    pub(in crate::engine) policy: Option<String>,
    /// Policies that it loads. Such cells take ten times as long as others and come first: one of
    /// them at the end would keep a single guest busy.
    pub(in crate::engine) loads: usize,
}

/// A cell that a guest gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Given {
    /// Index of the cell in its lane.
    pub(in crate::engine) cell: usize,
    /// Number of its context: no other cell of the guest, and no earlier run of this one, has it.
    pub(in crate::engine) context: usize,
}

/// The cells of a lane that wait for a guest, in the order in which they run.
#[derive(Debug)]
pub(super) struct Queue {
    traits: Vec<CellTraits>,
    /// How often each cell ran; each time it gets another context.
    runs: Vec<usize>,
    /// Cases that killed a guest.
    deadly: HashSet<usize>,
    /// Cells that must run in a guest that was not restored.
    cold: HashSet<usize>,
    waiting: BTreeSet<Place>,
}

/// A cell's place in the order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    lockdown: Lockdown,
    ends_guest: bool,
    deadly: bool,
    has_control: bool,
    loads: Reverse<usize>,
    policy: Option<String>,
    cell: usize,
}

impl Queue {
    /// An empty queue for these cells.
    pub(super) fn new(traits: Vec<CellTraits>) -> Self {
        let runs = vec![0; traits.len()];
        let (deadly, cold) = (HashSet::new(), HashSet::new());
        Self { traits, runs, deadly, cold, waiting: BTreeSet::new() }
    }

    fn place(&self, cell: usize) -> Place {
        let traits = &self.traits[cell];
        Place {
            lockdown: traits.lockdown,
            ends_guest: traits.ends_guest,
            deadly: self.deadly.contains(&traits.case),
            has_control: traits.has_control,
            loads: Reverse(traits.loads),
            policy: traits.policy.clone(),
            cell,
        }
    }

    /// Lets a cell wait.
    pub(super) fn push(&mut self, cell: usize) {
        self.waiting.insert(self.place(cell));
    }

    /// From now on, a cell must run in a guest that was not restored.
    pub(super) fn require_cold(&mut self, cell: usize) {
        self.cold.insert(cell);
    }

    /// Lets the waiting cells of the same case as `cell`, which killed its guest, come last: they
    /// will likely kill theirs.
    pub(super) fn postpone_case_of(&mut self, cell: usize) {
        let case = self.traits[cell].case;
        self.deadly.insert(case);
        let of_case = |place: &Place| self.traits[place.cell].case == case;
        let (moved, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(of_case);
        self.waiting.extend(kept);
        moved.into_iter().for_each(|place| self.push(place.cell));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if a cell waits that must not run in a restored guest.
    pub(super) fn has_cold(&self) -> bool {
        self.waiting.iter().any(|place| self.cold.contains(&place.cell))
    }

    /// Empties the queue.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Number of cells that no guest in one of these states can run.
    pub(super) fn count_unfit(&self, states: &[&GuestState]) -> usize {
        let unfit = |place: &&Place| !states.iter().any(|state| self.fits(place, state));
        self.waiting.iter().filter(unfit).count()
    }

    /// Takes up to `many` cells that a guest can run, and notes what they do to it.
    pub(super) fn take(&mut self, state: &mut GuestState, many: usize) -> Vec<Given> {
        let mut given = Vec::new();
        while given.len() < many {
            let Some(place) = self.waiting.iter().find(|place| self.fits(place, state)) else {
                break;
            };
            let place = place.clone();
            self.waiting.remove(&place);
            let context = self.context(place.cell);
            state.lockdown = place.lockdown;
            state.block = Some(context / CONTEXTS);
            state.spent = place.ends_guest;
            given.push(Given { cell: place.cell, context: context % CONTEXTS });
        }
        given
    }

    /// Notes that a cell ran.
    pub(super) fn note_run(&mut self, cell: usize) {
        self.runs[cell] += 1;
    }

    /// The number of the context that a cell gets when it runs the next time. It depends on nothing
    /// else, so a run has the same contexts on any number of guests.
    fn context(&self, cell: usize) -> usize {
        cell + self.runs[cell] * self.traits.len()
    }

    fn fits(&self, place: &Place, state: &GuestState) -> bool {
        let block = self.context(place.cell) / CONTEXTS;
        !state.spent
            && place.lockdown >= state.lockdown
            && !(state.restored && self.cold.contains(&place.cell))
            && state.block.is_none_or(|own| own == block)
    }
}
