//! What a comparison is made of: groups of cells that differ in the same way, and excluded cells.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::names::{CellId, globs};
use crate::judge::Verdict;
use crate::record::CellResult;

/// Cells that differ in the same way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Which of the changes that were stated beforehand it is, by its place among them; none when nobody
    /// stated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<usize>,
    /// What differs.
    pub kind: DifferenceKind,
    /// Their verdicts on A.
    pub verdict_a: Verdict,
    /// Their verdicts on B.
    pub verdict_b: Verdict,
    /// A first guess at the cause, one sentence for each syscall.
    pub guess: Vec<String>,
    /// What the cases say of it: reasons of conditions that hold on one side only.
    pub because: Vec<CaseReason>,
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
pub struct CaseReason {
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// Whether it is so on B; else it is so on A.
    pub on_b: bool,
}

/// Cells that are told apart from those that differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exclusion {
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
pub enum DifferenceKind {
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

/// Cells by their policy, where that matters, and their place.
pub(super) type CellSet<'a> = BTreeSet<(&'a str, CellId<'a>)>;

/// How the reason of what only A, or only B, or both skipped begins.
pub(super) const SKIPPED: [&str; 3] = ["on A only", "on B only", "on both"];

impl Exclusion {
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

impl Group {
    /// Whether the cases promise the difference: both sides pass, and a condition on the kernel says why.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        expected((self.verdict_a, self.verdict_b), &self.because)
    }
}

pub(super) fn expected(verdicts: (Verdict, Verdict), because: &[CaseReason]) -> bool {
    verdicts == (Verdict::Pass, Verdict::Pass) && !because.is_empty()
}

impl Cells {
    /// Some of all the cells that were compared; each with its policy where it matters.
    pub(super) fn of<'a>(cells: &CellSet<'a>, all: &CellSet<'a>) -> Self {
        let policies: BTreeSet<&str> = cells.iter().map(|(policy, _)| *policy).collect();
        let several = all.iter().map(|(policy, _)| *policy).collect::<BTreeSet<_>>().len() > 1;
        let mut words = Vec::new();
        for policy in policies {
            let of = |cells: &CellSet<'a>| {
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

pub(super) fn id(cell: &CellResult) -> CellId<'_> {
    (cell.case.as_str(), &cell.at)
}
