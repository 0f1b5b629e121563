//! The result of comparing two sides.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::group::{Exclusion, Group, id};
use super::side::{CellKey, Side, one_policy_each};
use super::sorting::Sorting;
use crate::case::Coordinates;
use crate::counted::counted;
use crate::record::CellResult;

/// Two sides, compared cell by cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The first side.
    pub a: SideSummary,
    /// The second side.
    pub b: SideSummary,
    /// Notes to read first: that a policy differs, or what was not compared.
    pub notes: Vec<String>,
    /// Number of cells that both sides have.
    pub common: usize,
    /// Number of those that are the same on both.
    pub same: usize,
    /// Those that differ, in groups that differ in the same way, the worst first.
    pub groups: Vec<Group>,
    /// Cells that at least one side could not carry out, by reason.
    pub not_judged: Vec<Exclusion>,
    /// Cells that at least one side skipped, by reason.
    pub skipped: Vec<Exclusion>,
    /// Cells whose case was changed between the runs: differences in them are no kernel's fault.
    pub changed_cases: Vec<Exclusion>,
    /// Cells that only one side has.
    pub only: Vec<Exclusion>,
}

/// A side, in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SideSummary {
    /// Name of the run record or of the kernel.
    pub from: String,
    /// Release string of the kernel.
    pub release: String,
    /// Version and origin of the kernel.
    pub kernel: String,
    /// Names of the policies.
    pub policies: Vec<String>,
    /// Version of the kernel: the short name of the side.
    pub version: String,
}

/// The two sides have no cell in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare {a} with {b}: they have no cell in common: cases, filters or policies differ")]
pub struct NothingInCommon {
    a: String,
    b: String,
}

impl NothingInCommon {
    /// The error for sides with these names.
    #[must_use]
    pub fn of(a: String, b: String) -> Self {
        Self { a, b }
    }
}

impl Comparison {
    /// Compares the cells of two sides that `wanted` selects.
    ///
    /// # Errors
    ///
    /// If the sides have such cells, but none in common.
    pub fn of<'a>(
        a: &Side<'a>,
        b: &Side<'a>,
        wanted: &dyn Fn(&str, &Coordinates) -> bool,
    ) -> Result<Self, NothingInCommon> {
        Self::with_stated(a, b, wanted, &|_| None)
    }

    /// The same, with changes that the user has stated: for a cell of B that differs, `stated`
    /// returns the place of the change that covers it.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn with_stated<'a>(
        a: &Side<'a>,
        b: &Side<'a>,
        wanted: &dyn Fn(&str, &Coordinates) -> bool,
        stated: &dyn Fn(&CellResult) -> Option<usize>,
    ) -> Result<Self, NothingInCommon> {
        let one_policy = one_policy_each(a, b);
        let cells = |side: &Side<'a>| {
            let mut cells = side.cells(one_policy);
            cells.retain(|_, cell| wanted(&cell.name, &cell.at));
            cells
        };
        // The result must not depend on the order in which the cells ran.
        fn sorted<'b, 'a>(
            cells: &'b HashMap<CellKey<'a>, &'a CellResult>,
        ) -> Vec<(&'b CellKey<'a>, &'b &'a CellResult)> {
            let mut cells: Vec<_> = cells.iter().collect();
            cells.sort_by_key(|(key, _)| (key.policy, key.name));
            cells
        }
        let (cells_a, cells_b) = (cells(a), cells(b));
        let mut sorting = Sorting::default();
        for (key, cell) in cells_a.iter().chain(&cells_b) {
            sorting.all.insert((key.policy, id(cell)));
        }
        let mut common = 0;
        for (key, cell) in sorted(&cells_a) {
            match cells_b.get(key) {
                Some(other) => {
                    common += 1;
                    sorting.pair(key, cell, other, stated);
                }
                None => sorting.only(key, cell, "A"),
            }
        }
        for (key, cell) in sorted(&cells_b).iter().filter(|(key, _)| !cells_a.contains_key(key)) {
            sorting.only(key, cell, "B");
        }
        if common == 0 && !(cells_a.is_empty() && cells_b.is_empty()) {
            return Err(NothingInCommon::of(named(a), named(b)));
        }
        let mut notes = notes(a, b, one_policy);
        if sorting.without_checks > 0 {
            notes.push(format!(
                "capability checks were not seen on both sides and were not compared: {}",
                counted(sorting.without_checks, "cell")
            ));
        }
        Ok(Self {
            a: SideSummary::of(a),
            b: SideSummary::of(b),
            notes,
            common,
            same: sorting.same,
            groups: sorting.groups(),
            not_judged: sorting.exclusions(&sorting.not_judged),
            skipped: sorting.exclusions(&sorting.skipped),
            changed_cases: sorting.exclusions(&sorting.changed),
            only: sorting.exclusions(&sorting.only),
        })
    }

    /// Number of cells that differ.
    #[must_use]
    pub fn different(&self) -> usize {
        self.groups.iter().map(|group| group.cells.count).sum()
    }
}

/// The side as an error names it.
pub(super) fn named(side: &Side<'_>) -> String {
    format!("{} (Linux {})", side.from, side.kernel.version)
}

fn notes(a: &Side<'_>, b: &Side<'_>, one_policy: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let (policies_a, policies_b) = (a.policies(), b.policies());
    let pair = (policies_a.iter().next(), policies_b.iter().next());
    if let (true, (Some((name_a, _)), Some((name_b, _)))) = (one_policy, pair)
        && name_a != name_b
    {
        notes.push(format!("A ran under policy {name_a}, B under policy {name_b}"));
    }
    for (name, sha) in &policies_a {
        if policies_b.get(name).is_some_and(|other| other != sha) {
            notes.push(format!("the policy {name} is not the same on both sides"));
        }
    }
    for (side, letter) in [(a, "A"), (b, "B")] {
        if !side.whole {
            notes.push(format!(
                "the run of {letter} did not end: cells without a result are missing"
            ));
        }
        for reason in side.refused() {
            notes.push(format!("nothing could be tested in a lane of {letter}: {reason}"));
        }
    }
    notes
}

impl SideSummary {
    fn of(side: &Side<'_>) -> Self {
        Self {
            from: side.from.clone(),
            release: side.kernel.release.clone(),
            kernel: side.kernel_words(),
            policies: side.policies().into_keys().map(str::to_owned).collect(),
            version: side.kernel.version.to_string(),
        }
    }
}
