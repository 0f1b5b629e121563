//! Kernels that are run until they are seen to be broken.

use perfsec_wire::BootMode;

use super::*;
use crate::engine::UntilBroken;

/// A lane that ends when one of the cells whose names `shows` accepts fails.
fn wanted(agents: &[Agent], shows: fn(&str) -> bool) -> LanePlan {
    let cells = Arc::new(many());
    let names = cells.iter().map(PlannedCell::name).filter(|name| shows(name)).collect();
    let until_broken = Some(UntilBroken { cells: Arc::new(names), ranks: Arc::default() });
    LanePlan { cells, until_broken, ..plan(agents) }
}

/// A kernel that refuses everything.
fn refusing() -> Agent {
    Agent::new(|cell| finish(cell, refused(healthy(cell))))
}

#[test]
fn a_lane_ends_at_the_first_failure() {
    let outcomes = run_plan(wanted(&[refusing()], |_| true));
    let failed = outcomes.verdicts().iter().filter(|it| **it == Verdict::Fail).count();
    assert_eq!((failed, outcomes.end.boots), (1, 1));
    let missed = outcomes.verdicts().iter().filter(|it| **it == Verdict::Miss).count();
    assert_eq!(missed, 159);
}

#[test]
fn a_failure_of_another_cell_does_not_end_a_lane() {
    let outcomes = run_plan(wanted(&[refusing()], |_| false));
    assert!(!outcomes.verdicts().contains(&Verdict::Miss));
}

/// Its subjects hang: each would cost the cell limit.
#[test]
fn a_lane_ends_when_some_cells_cannot_be_carried_out() {
    let hangs = |cell: &Cell| Observation { exit: Exit::Overdue, ..healthy(cell) };
    let agent = Agent::new(move |cell| finish(cell, hangs(cell)));
    let outcomes = run_plan(wanted(&[agent], |_| true));
    let errors = outcomes.verdicts().iter().filter(|it| **it == Verdict::Error).count();
    assert_eq!(errors, UntilBroken::ERRORS);
    assert!(outcomes.verdicts().contains(&Verdict::Miss));
}

#[test]
fn a_lane_whose_kernel_holds_runs_to_its_end() {
    let outcomes = run_plan(wanted(&[Agent::healthy()], |_| true));
    assert!(outcomes.verdicts().iter().all(|it| *it == Verdict::Pass));
}

#[test]
fn a_lane_ends_at_the_first_death() {
    let outcomes = run_plan(wanted(&[deadly(PANIC, &End::Rebooted), Agent::healthy()], |_| false));
    assert_eq!((outcomes.causes.len(), outcomes.end.boots), (1, 1));
    let passed = outcomes.verdicts().iter().filter(|it| **it == Verdict::Pass).count();
    assert_eq!(passed, 0);
}

#[test]
fn a_failure_ends_the_other_lanes_of_its_kernel_and_of_no_other() {
    let other = |parameter: &str| {
        let mut other = wanted(&[Agent::healthy()], |_| true);
        (other.lane, other.boot) = (1, BootMode::NoSelinux);
        other.kernel.parameters = vec![parameter.to_owned()];
        other
    };
    for (parameter, boots) in [("mutant=1", 0), ("mutant=2", 1)] {
        let mut first = wanted(&[refusing()], |_| true);
        first.kernel.parameters = vec!["mutant=1".to_owned()];
        let plans = [first, other(parameter)];
        let ends = events(&plans, manner(), 1, &Interrupt::default()).into_iter();
        let ends = ends.filter_map(|event| match event {
            Event::LaneEnd(end) => Some((end.lane, end.boots)),
            _ => None,
        });
        let ends: BTreeMap<usize, usize> = ends.collect();
        assert_eq!(ends, BTreeMap::from([(0, 1), (1, boots)]), "{parameter}");
    }
}

#[test]
fn no_guest_is_restored_or_saved() {
    let snapshot = Some("snapshot 1".to_owned());
    let plan = wanted(&[Agent { snapshot, ..Agent::healthy() }], |_| true);
    let ready = events(&[plan], manner(), 1, &Interrupt::default()).into_iter();
    let restored = ready.filter_map(|event| match event {
        Event::Ready(ready) => Some(ready.restored),
        _ => None,
    });
    assert_eq!(restored.collect::<Vec<_>>(), [false]);
}
