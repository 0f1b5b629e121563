//! What comes of comparing two sides, as data.

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
    /// What a reader must know before the rest: that a policy differs, what was not compared.
    pub notes: Vec<String>,
    /// How many cells both sides have.
    pub common: usize,
    /// How many of them are the same on both.
    pub same: usize,
    /// Those that differ, in groups that differ in the same way; what is worst comes first.
    pub groups: Vec<Group>,
    /// Cells that one side or both could not carry out, by the reason.
    pub not_judged: Vec<Exclusion>,
    /// Cells that one side skipped, by the reason.
    pub skipped: Vec<Exclusion>,
    /// Cells whose case was changed between the runs: no kernel is blamed for what differs.
    pub changed_cases: Vec<Exclusion>,
    /// Cells that only one side has.
    pub only: Vec<Exclusion>,
}

/// A side in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SideSummary {
    /// Where it comes from: a run record's or a kernel's name.
    pub from: String,
    /// The kernel's release.
    pub release: String,
    /// The kernel and its origin.
    pub kernel: String,
    /// The policies.
    pub policies: Vec<String>,
    /// The kernel's version: what the side is called where it must be short.
    pub version: String,
}

/// Two sides without a cell in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare {a} with {b}: they have no cell in common: cases, filters or policies differ")]
pub struct NothingInCommon {
    a: String,
    b: String,
}

impl NothingInCommon {
    /// Of sides of these names.
    #[must_use]
    pub fn of(a: String, b: String) -> Self {
        Self { a, b }
    }
}

impl Comparison {
    /// Compares those cells of two sides that `wanted` selects.
    ///
    /// # Errors
    ///
    /// When there is none that both have, though one side has some.
    pub fn of<'a>(
        a: &Side<'a>,
        b: &Side<'a>,
        wanted: &dyn Fn(&str, &Coordinates) -> bool,
    ) -> Result<Self, NothingInCommon> {
        Self::with_stated(a, b, wanted, &|_| None)
    }

    /// The same, when some changes were stated beforehand: `stated` says which one a cell of B that differs
    /// is.
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
        // Whatever order they ran in, the same is said of them.
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
                "capability checks were not seen on both sides and not compared: {}",
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
            not_judged: sorting.apart(&sorting.not_judged),
            skipped: sorting.apart(&sorting.skipped),
            changed_cases: sorting.apart(&sorting.changed),
            only: sorting.apart(&sorting.only),
        })
    }

    /// How many cells differ.
    #[must_use]
    pub fn different(&self) -> usize {
        self.groups.iter().map(|group| group.cells.count).sum()
    }
}

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
