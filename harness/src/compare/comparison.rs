//! What comes of comparing two sides, as data.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::names::{CellId, globs};
use super::side::{Key, Side, one_policy_each};
use super::sorting::Sorting;
use crate::case::Coordinates;
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::CellResult;

/// Two sides, compared cell by cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The first side.
    pub a: SideWords,
    /// The second side.
    pub b: SideWords,
    /// What a reader must know before the rest: that a policy differs, what was not compared.
    pub notes: Vec<String>,
    /// How many cells both sides have.
    pub common: usize,
    /// How many of them are the same on both.
    pub same: usize,
    /// Those that differ, in groups that differ in the same way; what is worst comes first.
    pub groups: Vec<Group>,
    /// Cells that one side or both could not carry out, by the reason.
    pub not_judged: Vec<Apart>,
    /// Cells that one side skipped, by the reason.
    pub skipped: Vec<Apart>,
    /// Cells whose case was changed between the runs: no kernel is blamed for what differs.
    pub changed_cases: Vec<Apart>,
    /// Cells that only one side has.
    pub only: Vec<Apart>,
}

/// A side in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SideWords {
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

/// Cells that differ in the same way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Which of the changes that were stated beforehand it is, by its place among them; none when nobody
    /// stated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<usize>,
    /// What differs.
    pub kind: Kind,
    /// Their verdicts on A.
    pub verdict_a: Verdict,
    /// Their verdicts on B.
    pub verdict_b: Verdict,
    /// A first guess at the cause, one sentence for each syscall.
    pub guess: Vec<String>,
    /// What the cases say of it: reasons of conditions that hold on one side only.
    pub because: Vec<Because>,
    /// Everything that differs.
    pub changes: BTreeSet<Change>,
    /// The cells.
    pub cells: Cells,
    /// The cell of which the diff is.
    pub example: String,
    /// A diff from A to B of one of them.
    pub diff: Vec<String>,
}

/// Why a case expects something else of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Because {
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// Whether it is so on B; else it is so on A.
    pub on_b: bool,
}

/// Cells that are told apart from those that differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Apart {
    /// Why.
    pub why: String,
    /// The cells.
    pub cells: Cells,
}

/// Cells, in full and in few words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cells {
    /// How many.
    pub count: usize,
    /// Globs that select them among those that were compared, each with how many it selects.
    pub globs: Vec<(String, usize)>,
    /// Their names.
    pub names: Vec<String>,
}

/// What differs first and foremost, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The kernel died, or reported a fault.
    Fault,
    /// A syscall returns something else.
    Result,
    /// A capability is checked that was not.
    ExtraCheck,
    /// A capability is no longer checked.
    MissingCheck,
    /// A record is new.
    NewRecord,
    /// A record is lost.
    LostRecord,
    /// The same in another order, or by another call.
    Order,
    /// A check has another answer.
    Answer,
    /// Checks are made more or less often.
    Number,
    /// Something else.
    Other,
    /// Nothing but the verdict.
    Verdict,
}

/// Two sides without a cell in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare {a} with {b}: they have no cell in common: cases, filters or policies differ")]
pub struct NothingInCommon {
    a: String,
    b: String,
}

/// How the reason of what only A, or only B, or both skipped begins.
pub(super) const SKIPPED: [&str; 3] = ["on A only", "on B only", "on both"];

impl Apart {
    /// Whether only B skipped them.
    #[must_use]
    pub fn is_only_on_b(&self) -> bool {
        self.why.starts_with(SKIPPED[1])
    }

    /// Whether both sides skipped them.
    #[must_use]
    pub fn is_on_both(&self) -> bool {
        self.why.starts_with(SKIPPED[2])
    }
}

impl NothingInCommon {
    /// Of sides of these names.
    #[must_use]
    pub fn of(a: String, b: String) -> Self {
        Self { a, b }
    }
}

impl Group {
    /// Whether the cases promise the difference: both sides pass, and a condition on the kernel says why.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        expected((self.verdict_a, self.verdict_b), &self.because)
    }
}

pub(super) fn expected(verdicts: (Verdict, Verdict), because: &[Because]) -> bool {
    verdicts == (Verdict::Pass, Verdict::Pass) && !because.is_empty()
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
            cells: &'b HashMap<Key<'a>, &'a CellResult>,
        ) -> Vec<(&'b Key<'a>, &'b &'a CellResult)> {
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
            a: SideWords::of(a),
            b: SideWords::of(b),
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

pub(super) fn id(cell: &CellResult) -> CellId<'_> {
    (cell.case.as_str(), &cell.at)
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

impl SideWords {
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

/// Cells by their policy, where that matters, and their place.
pub(super) type Named<'a> = BTreeSet<(&'a str, CellId<'a>)>;

impl Cells {
    /// Some of all the cells that were compared; each with its policy where it matters.
    pub(super) fn of<'a>(cells: &Named<'a>, all: &Named<'a>) -> Self {
        let policies: BTreeSet<&str> = cells.iter().map(|(policy, _)| *policy).collect();
        let several = all.iter().map(|(policy, _)| *policy).collect::<BTreeSet<_>>().len() > 1;
        let mut words = Vec::new();
        for policy in policies {
            let of = |cells: &Named<'a>| {
                let cells = cells.iter().filter(|(other, _)| *other == policy);
                cells.map(|(_, id)| *id).collect::<BTreeSet<_>>()
            };
            let globs = globs(&of(cells), &of(all));
            words.extend(globs.into_iter().map(|(glob, count)| {
                let under = if several && !policy.is_empty() {
                    format!(" (policy {policy})")
                } else {
                    String::new()
                };
                (format!("{glob}{under}"), count)
            }));
        }
        let names = cells.iter().map(|(_, (case, at))| format!("{case}/{at}")).collect();
        Cells { count: cells.len(), globs: words, names }
    }
}
