//! Compares the runs of a series: what each patch changes, and what the whole series changes.

use super::expect::Expectations;
use super::outcome::{CellChanges, PatchOutcome, StatedOutcome};
use crate::case::Coordinates;
use crate::compare::{Comparison, NothingInCommon, Side, sides};
use crate::record::{CellResult, Run};

/// Selects the cells to compare. A cell that only ran as the control of another is left out.
pub type Wanted<'a> = &'a dyn Fn(&str, &Coordinates) -> bool;

/// The changes by patch `number`: its kernel's run against that of patch `against` (0: the base).
///
/// # Errors
///
/// Returns an error if the runs have no cell in common.
pub fn of_patch(
    before: &Run,
    after: &Run,
    number: usize,
    against: usize,
    meant: &Expectations,
    wanted: Wanted<'_>,
) -> Result<CellChanges, NothingInCommon> {
    let stated = |cell: &CellResult| meant.of_patch(number, &cell.name, &cell.judgement.observed);
    let comparison = compare((before, against), (after, number), wanted, &stated)?;
    Ok(CellChanges { against, comparison })
}

/// The changes by the whole series: the run of its last kernel, that of patch `number`, against
/// that of the base.
///
/// # Errors
///
/// Returns an error if the runs have no cell in common.
pub fn of_series(
    base: &Run,
    last: &Run,
    number: usize,
    meant: &Expectations,
    wanted: Wanted<'_>,
) -> Result<Comparison, NothingInCommon> {
    compare((base, 0), (last, number), wanted, &|cell| meant.of_series(&cell.name))
}

/// The stated changes, each with the cells that it names and that did not change.
#[must_use]
pub fn stated(meant: &Expectations, patches: &[PatchOutcome]) -> Vec<StatedOutcome> {
    let changed = |at: usize| {
        let changed = patches.iter().filter_map(|patch| patch.changed.as_ref());
        let groups = changed.flat_map(|changed| &changed.comparison.groups);
        let groups = groups.filter(move |group| group.stated == Some(at));
        groups.flat_map(|group| group.cells.names.iter().map(String::as_str)).collect::<Vec<_>>()
    };
    let stated = meant.changes().iter().enumerate().map(|(at, change)| StatedOutcome {
        patch: change.patch,
        cells: change.cells.clone(),
        reason: change.reason.clone(),
        unmet: change.unmet(&changed(at)),
    });
    stated.collect()
}

fn compare(
    (before, against): (&Run, usize),
    (after, number): (&Run, usize),
    wanted: Wanted<'_>,
    stated: &dyn Fn(&CellResult) -> Option<usize>,
) -> Result<Comparison, NothingInCommon> {
    let name = |number: usize| match number {
        0 => "the base".to_owned(),
        number => format!("patch {number}"),
    };
    // A run of a series has one kernel.
    let side = |run, number| -> Option<Side<'_>> { sides(run, &name(number)).into_iter().next() };
    match (side(before, against), side(after, number)) {
        (Some(a), Some(b)) => Comparison::with_stated(&a, &b, wanted, stated),
        _ => Err(NothingInCommon::of(name(against), name(number))),
    }
}
