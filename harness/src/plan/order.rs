//! Orders cells, and groups those that share a boot.

use std::collections::{BTreeMap, HashMap};

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

/// The cells for a kernel that one of them is to show to be broken: by their ranks, those without one
/// last, and of one rank first a cell of each case, then the second of each. They have no controls: a
/// failure counts without.
#[must_use]
pub fn likeliest_first(
    cells: Vec<PlannedCell>,
    ranks: &BTreeMap<String, usize>,
) -> Vec<PlannedCell> {
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    let mut ordered: Vec<_> = cells
        .into_iter()
        .map(|cell| {
            let rank = ranks.get(&cell.name()).copied().unwrap_or(usize::MAX);
            let of_case = seen.entry((rank, cell.case.name.clone())).or_default();
            *of_case += 1;
            ((rank, *of_case), PlannedCell { control: None, ..cell })
        })
        .collect();
    ordered.sort_by_key(|(key, _)| *key);
    ordered.into_iter().map(|(_, cell)| cell).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Library;
    use crate::plan::Filter;

    #[test]
    fn suspects_come_first_and_then_one_cell_of_each_case() {
        let library = Library::built_in().unwrap();
        let names = vec!["event/read/".to_owned(), "event/mmap/".to_owned()];
        let cells = Filter { names, ..Filter::default() }.select(&library).unwrap();
        let suspect = cells.last().unwrap().name();
        let ranks = BTreeMap::from([(suspect.clone(), 0)]);
        let ordered = likeliest_first(cells.clone(), &ranks);
        assert_eq!((ordered.len(), ordered[0].name()), (cells.len(), suspect));
        assert_ne!(ordered[1].case.name, ordered[2].case.name);
        assert!(ordered.iter().all(|cell| cell.control.is_none()));
    }
}
