//! Covers a set of cells with few selectors.

use crate::case::{Axes, Coordinates, Level, Selector};
use crate::grant::Grant;
use perfsec_wire::Mode;

/// The cells of a selector that names every axis: the product of its values.
#[derive(Clone, PartialEq)]
struct Block {
    domain: Vec<String>,
    paranoid: Vec<Level>,
    grant: Vec<Grant>,
    mode: Vec<Mode>,
}

/// Selectors that together select exactly `cells`, and no cell twice.
///
/// Joins cells that differ on a single axis, axis by axis, the one that varies fastest first. The
/// result is small, but not always the smallest.
pub(super) fn cover(axes: &Axes, cells: &[Coordinates]) -> Vec<Selector> {
    let mut blocks: Vec<Block> = axes
        .coordinates()
        .filter(|at| cells.contains(at))
        .map(|at| Block {
            domain: vec![at.domain],
            paranoid: vec![at.paranoid],
            grant: vec![at.grant],
            mode: vec![at.mode],
        })
        .collect();
    for axis in 0..4 {
        let mut joined: Vec<Block> = Vec::new();
        for block in blocks {
            match joined.iter_mut().find(|other| other.joins(&block, axis)) {
                Some(other) => other.take(block, axis),
                None => joined.push(block),
            }
        }
        blocks = joined;
    }
    blocks.into_iter().map(|block| block.selector(axes)).collect()
}

impl Block {
    /// True if the two differ at most on this axis (0 varies fastest).
    fn joins(&self, other: &Self, axis: usize) -> bool {
        let same = [
            self.mode == other.mode,
            self.grant == other.grant,
            self.paranoid == other.paranoid,
            self.domain == other.domain,
        ];
        same.iter().enumerate().all(|(at, same)| at == axis || *same)
    }

    fn take(&mut self, other: Self, axis: usize) {
        match axis {
            0 => self.mode.extend(other.mode),
            1 => self.grant.extend(other.grant),
            2 => self.paranoid.extend(other.paranoid),
            _ => self.domain.extend(other.domain),
        }
    }

    fn selector(self, axes: &Axes) -> Selector {
        fn part<T: PartialEq>(values: Vec<T>, axis: &[T]) -> Option<Vec<T>> {
            (values.len() < axis.len()).then_some(values)
        }
        Selector {
            domain: part(self.domain, &axes.domain),
            paranoid: part(self.paranoid, &axes.paranoid),
            grant: part(self.grant, &axes.grant),
            mode: part(self.mode, &axes.mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn axes() -> Axes {
        Axes {
            domain: vec!["all_t".to_owned(), "none_t".to_owned()],
            paranoid: vec![Level::Set(2), Level::Set(-1)],
            grant: ["none", "perfmon", "sys_admin"].map(|name| name.parse().unwrap()).to_vec(),
            mode: Mode::ALL.to_vec(),
        }
    }

    #[test]
    fn all_cells_are_one_selector_that_names_nothing() {
        let cells: Vec<_> = axes().coordinates().collect();
        assert_eq!(cover(&axes(), &cells), [Selector::default()]);
    }

    proptest! {
        #[test]
        fn every_cell_is_selected_once_and_no_other(
            chosen in proptest::collection::vec(any::<bool>(), 24),
        ) {
            let all: Vec<_> = axes().coordinates().collect();
            let cells = all.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
            let cells: Vec<_> = cells.map(|(at, _)| at.clone()).collect();
            let selectors = cover(&axes(), &cells);
            for (at, chosen) in all.iter().zip(chosen) {
                let count = selectors.iter().filter(|selector| selector.selects(at)).count();
                prop_assert_eq!(count, usize::from(chosen));
            }
        }
    }
}
