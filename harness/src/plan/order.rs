//! The order of cells, and which of them share a boot.

use perfsec_wire::BootMode;

use super::PlannedCell;

/// The cells of each way to boot a kernel, in the order in which they are best run: a lockdown can only
/// be raised, and to load another policy takes time.
#[must_use]
pub fn by_boot(cells: &[PlannedCell]) -> Vec<(BootMode, Vec<PlannedCell>)> {
    let of = |boot: BootMode| {
        let mut chosen: Vec<usize> =
            (0..cells.len()).filter(|at| cells[*at].case.boot == boot).collect();
        // Controls first: those of a cell may be in another case.
        chosen.sort_by_key(|at| {
            let PlannedCell { case, control, .. } = &cells[*at];
            (case.lockdown, control.is_some(), case.policy.as_deref())
        });
        take(cells, &chosen)
    };
    let lanes = BootMode::ALL.map(|boot| (boot, of(boot)));
    lanes.into_iter().filter(|(_, cells)| !cells.is_empty()).collect()
}

/// Every cell so many times, one whole round after another.
#[must_use]
pub fn repeated(cells: Vec<PlannedCell>, times: usize) -> Vec<PlannedCell> {
    let count = cells.len();
    let round = |round: usize| {
        cells.iter().map(move |cell| PlannedCell {
            control: cell.control.map(|control| control + round * count),
            ..cell.clone()
        })
    };
    (0..times).flat_map(round).collect()
}

/// The cells in an order that only `seed` determines; controls stay before the cells that need them.
#[must_use]
pub fn shuffled(cells: &[PlannedCell], seed: u64) -> Vec<PlannedCell> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order.sort_by_key(|at| cells[*at].control.is_some());
    take(cells, &order)
}

/// Those cells, in that order; their controls are among them.
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
