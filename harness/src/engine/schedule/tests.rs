//! Schedules in simulated time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use perfsec_wire::Lockdown;
use rstest::rstest;

use super::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A lane of the simulation.
struct Lane {
    traits: Vec<CellTraits>,
    boot: Duration,
    restore: Duration,
    /// A snapshot exists from the beginning.
    saved: bool,
}

impl Lane {
    fn of(cells: usize) -> Self {
        let boot = millis(2800);
        let traits = vec![CellTraits::default(); cells];
        Self { traits, boot, restore: millis(560), saved: false }
    }
}

/// What a simulated guest does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    BeReady,
    Finish(usize),
    Die(usize),
}

#[derive(Debug, Default)]
struct Simulation {
    makespan: Duration,
    boots: usize,
    /// Each lane and cell that ran, in the order of their ends.
    ran: Vec<(usize, usize)>,
    /// The time of each lane's first cell.
    first: Vec<Option<Duration>>,
}

/// Runs lanes on `workers` guests at a time. A cell takes `cost` and kills its guest if it is
/// `deadly`.
fn simulate(
    lanes: &[Lane],
    workers: usize,
    cost: impl Fn(usize, usize) -> Duration,
    deadly: impl Fn(usize, usize) -> bool,
) -> Simulation {
    let mut schedule = Schedule::new(lanes.iter().map(|lane| (lane.traits.clone(), 0)), false);
    for (at, lane) in lanes.iter().enumerate() {
        (0..lane.traits.len()).for_each(|cell| schedule.enqueue(at, cell));
    }
    let mut saved: Vec<_> = lanes.iter().map(|lane| lane.saved).collect();
    let mut events = BinaryHeap::new();
    let mut given: BTreeMap<GuestId, (usize, Vec<usize>, HashSet<usize>)> = BTreeMap::new();
    let mut out = Simulation { first: vec![None; lanes.len()], ..Simulation::default() };
    let (mut now, mut free) = (Duration::ZERO, workers);
    loop {
        while free > 0 {
            let Task::Start { guest, lane, cold, .. } = schedule.next(now) else { break };
            let restored = saved[lane] && !cold;
            schedule.note_restored(guest, restored);
            let start = if restored { lanes[lane].restore } else { lanes[lane].boot };
            given.insert(guest, (lane, Vec::new(), HashSet::new()));
            events.push(Reverse((now + start, guest, Then::BeReady)));
            (free, out.boots) = (free - 1, out.boots + 1);
        }
        let Some(Reverse((time, guest, then))) = events.pop() else { break };
        now = time;
        let Some((lane, cells, contexts)) = given.get_mut(&guest) else { panic!("a late event") };
        let lane = *lane;
        match then {
            Then::BeReady => {
                saved[lane] = true;
                schedule.note_ready(guest, now);
            }
            Then::Finish(cell) => {
                assert!(schedule.note_finished(guest, cell, now));
                out.ran.push((lane, cell));
            }
            Then::Die(cell) => {
                out.ran.push((lane, cell));
                schedule.note_end(guest, Some(cell));
                free += 1;
                continue;
            }
        }
        if cells.is_empty() {
            for Given { cell, context } in schedule.give(guest) {
                assert!(contexts.insert(context), "context {context} was used twice in a guest");
                cells.insert(0, cell);
            }
        }
        let Some(cell) = cells.pop() else {
            schedule.note_end(guest, None);
            free += 1;
            continue;
        };
        out.first[lane].get_or_insert(now);
        let then = if deadly(lane, cell) { Then::Die(cell) } else { Then::Finish(cell) };
        events.push(Reverse((now + cost(lane, cell), guest, then)));
    }
    assert_eq!(free, workers, "a worker waits for ever");
    assert_eq!(schedule.next(now), Task::Finish);
    out.makespan = now;
    out
}

/// A pseudorandom number below `limit`.
fn random(seed: usize, limit: u64) -> u64 {
    fastrand::Rng::with_seed(seed as u64).u64(..limit)
}

/// Cells of 2 to 22 ms; one in a hundred takes 300.
fn uneven(_: usize, cell: usize) -> Duration {
    match random(cell, 100) {
        0 => millis(300),
        other => millis(2 + other / 5),
    }
}

fn total(lane: &Lane, cost: impl Fn(usize, usize) -> Duration) -> Duration {
    (0..lane.traits.len()).map(|cell| cost(0, cell)).sum()
}

fn assert_each_once(lanes: &[Lane], ran: &[(usize, usize)]) {
    let mut ran = ran.to_vec();
    ran.sort_unstable();
    let all = lanes.iter().enumerate();
    let all: Vec<_> =
        all.flat_map(|(at, lane)| (0..lane.traits.len()).map(move |cell| (at, cell))).collect();
    assert_eq!(ran, all);
}

#[rstest]
fn guests_share_a_lane_almost_evenly(
    #[values(2, 3, 4, 8, 16)] workers: usize,
    #[values(false, true)] saved: bool,
) {
    let lane = Lane { saved, ..Lane::of(3000) };
    let work = total(&lane, uneven);
    let lanes = [lane];
    let simulation = simulate(&lanes, workers, uneven, |_, _| false);
    assert_each_once(&lanes, &simulation.ran);
    // Any number of guests up to that of the workers may be best: each costs its start.
    let best = (1..=workers as u32).map(|guests| {
        let first = if saved { lanes[0].restore } else { lanes[0].boot };
        first + work / guests
    });
    let efficiency = best.min().unwrap_or_default().div_duration_f64(simulation.makespan);
    assert!(efficiency >= 0.9, "{workers} guests: {efficiency:.3}, {} boots", simulation.boots);
}

#[rstest]
fn small_lanes_run_beside_the_large_one(#[values(2, 3, 4, 8, 16)] workers: usize) {
    let lanes = [2856, 12, 12, 24, 7, 4].map(Lane::of);
    let simulation = simulate(&lanes, workers, uneven, |_, _| false);
    assert_each_once(&lanes, &simulation.ran);
    let boots: Duration = lanes.iter().map(|lane| lane.boot).sum();
    let work: Duration = lanes.iter().map(|lane| total(lane, uneven)).sum();
    // No schedule beats an even share of the boots and the cells, nor a boot and the cells of the
    // large lane divided among all.
    let share = (boots + work) / workers as u32;
    let alone = lanes[0].boot + total(&lanes[0], uneven) / workers as u32;
    let efficiency = share.max(alone).div_duration_f64(simulation.makespan);
    assert!(efficiency >= 0.9, "{workers} guests: {efficiency:.3}, {} boots", simulation.boots);
    // The lane with the most cells begins first, and no other waits for its end.
    assert_eq!(simulation.first[0], Some(lanes[0].boot));
    let last = simulation.first.iter().max().copied().flatten().unwrap_or_default();
    assert!(last < simulation.makespan / 2 + lanes[0].boot, "{last:?}");
}

#[rstest]
fn guests_that_die_lose_only_the_cell_that_ran(#[values(1, 2, 7, 16)] workers: usize) {
    let mut lane = Lane::of(500);
    lane.traits.iter_mut().enumerate().for_each(|(cell, traits)| traits.case = cell / 20);
    let lanes = [lane];
    let deadly = |_: usize, cell: usize| random(cell + 7, 40) == 0;
    let simulation = simulate(&lanes, workers, uneven, deadly);
    assert_each_once(&lanes, &simulation.ran);
    let deaths = (0..500).filter(|cell| deadly(0, *cell)).count();
    assert!(deaths > 5 && simulation.boots > deaths, "{deaths} deaths");
}

#[test]
fn a_few_cells_get_one_guest() {
    for cells in [1, 20] {
        let simulation = simulate(&[Lane::of(cells)], 16, |_, _| millis(7), |_, _| false);
        assert_eq!(simulation.boots, 1);
    }
}

/// The order in which one guest runs cells with these traits.
fn order_of(traits: Vec<CellTraits>) -> Vec<usize> {
    let lane = Lane { traits, ..Lane::of(0) };
    let simulation = simulate(&[lane], 1, |_, _| millis(7), |_, _| false);
    simulation.ran.into_iter().map(|(_, cell)| cell).collect()
}

#[test]
fn controls_come_first_and_what_cannot_be_undone_comes_last() {
    let plain = CellTraits::default();
    let order = order_of(vec![
        CellTraits { ends_guest: true, ..plain.clone() },
        CellTraits { lockdown: Lockdown::Integrity, ..plain.clone() },
        CellTraits { has_control: true, ..plain.clone() },
        CellTraits { policy: Some("legacy".to_owned()), ..plain.clone() },
        CellTraits { loads: 1, ..plain.clone() },
        plain.clone(),
        CellTraits { policy: Some("legacy".to_owned()), ..plain },
    ]);
    assert_eq!(order, [4, 5, 3, 6, 2, 0, 1]);
}

#[test]
fn a_guest_runs_nothing_after_a_cell_that_ends_it() {
    let ends = CellTraits { ends_guest: true, ..CellTraits::default() };
    let lane = Lane { traits: vec![ends; 3], ..Lane::of(0) };
    assert_eq!(simulate(&[lane], 1, |_, _| millis(7), |_, _| false).boots, 3);
}

#[test]
fn the_other_cells_of_a_case_that_killed_a_guest_come_last() {
    let of = |case| CellTraits { case, ..CellTraits::default() };
    let lane = Lane { traits: vec![of(0), of(0), of(1), of(1)], ..Lane::of(0) };
    let simulation = simulate(&[lane], 1, |_, _| millis(7), |_, cell| cell == 0);
    assert_eq!(simulation.ran, [(0, 0), (0, 2), (0, 3), (0, 1)]);
}

#[test]
fn a_guest_has_no_context_twice_in_a_run_of_more_cells_than_contexts() {
    // The simulation checks it.
    let lanes = [Lane::of(crate::plan::CONTEXTS + 500)];
    let simulation = simulate(&lanes, 2, |_, _| millis(7), |_, _| false);
    assert_each_once(&lanes, &simulation.ran);
}

#[test]
fn a_cell_that_must_run_cold_gets_a_booted_guest() {
    let mut schedule = Schedule::new([(vec![CellTraits::default(); 2], 0)].into_iter(), false);
    (0..2).for_each(|cell| schedule.enqueue(0, cell));
    let now = Duration::ZERO;
    let Task::Start { guest: restored, cold: false, .. } = schedule.next(now) else { panic!() };
    schedule.note_restored(restored, true);
    schedule.note_ready(restored, now);
    assert_eq!(schedule.give(restored).len(), 2);
    schedule.note_finished(restored, 0, now);
    schedule.enqueue_cold(0, 0);
    schedule.note_finished(restored, 1, now);
    assert!(schedule.give(restored).is_empty());
    let Task::Start { guest: booted, cold: true, boot: 1, .. } = schedule.next(now) else {
        panic!()
    };
    // Its context differs from that of the first time.
    assert_eq!(schedule.give(booted), [Given { cell: 0, context: 2 }]);
    schedule.note_end(restored, None);
    // A guest that dies before it finishes leaves the cell to another that is booted.
    schedule.note_end(booted, None);
    assert!(matches!(schedule.next(now), Task::Start { cold: true, .. }));
}
