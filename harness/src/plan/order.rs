//! Orders cells, and groups those that share a boot.

use perfsec_wire::BootMode;

use super::PlannedCell;

/// Groups cells by boot mode, controls first: a cell's control may be in another case.
#[must_use]
pub fn group_by_boot(cells: &[PlannedCell]) -> Vec<(BootMode, Vec<PlannedCell>)> {
    let group = |boot: BootMode| {
        let mut chosen: Vec<usize> =
            (0..cells.len()).filter(|at| cells[*at].case.boot == boot).collect();
        chosen.sort_by_key(|at| cells[*at].control.is_some());
        take(cells, &chosen)
    };
    let lanes = BootMode::ALL.map(|boot| (boot, group(boot)));
    lanes.into_iter().filter(|(_, cells)| !cells.is_empty()).collect()
}

/// Repeats the cells `times` times, one whole round after another.
#[must_use]
pub fn repeat(cells: Vec<PlannedCell>, times: usize) -> Vec<PlannedCell> {
    let count = cells.len();
    let round = |round: usize| {
        cells.iter().map(move |cell| PlannedCell {
            control: cell.control.map(|control| control + round * count),
            ..cell.clone()
        })
    };
    (0..times).flat_map(round).collect()
}

/// Shuffles the cells by `seed` alone; controls stay ahead of the cells that need them.
#[must_use]
pub fn shuffle(cells: &[PlannedCell], seed: u64) -> Vec<PlannedCell> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order.sort_by_key(|at| cells[*at].control.is_some());
    take(cells, &order)
}

/// The cells at these indices, in this order. It must include their controls.
fn take(cells: &[PlannedCell], order: &[usize]) -> Vec<PlannedCell> {
    let mut places = vec![None; cells.len()];
    for (place, at) in order.iter().enumerate() {
        places[*at] = Some(place);
    }
    let one = |at: &usize| PlannedCell {
        control: cells[*at].control.and_then(|control| places[control]),
        ..cells[*at].clone()
    };
    order.iter().map(one).collect()
}
