//! The parts of a comparison: groups of cells that differ in the same way, and excluded cells.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::names::{CellId, globs};
use crate::judge::Verdict;
use crate::record::CellResult;

/// Cells that differ in the same way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Place of the change that the user has stated and that covers the group; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<usize>,
    /// Kind of the difference.
    pub kind: DifferenceKind,
    /// Verdict on A, the same for all cells.
    pub verdict_a: Verdict,
    /// Verdict on B, the same for all cells.
    pub verdict_b: Verdict,
    /// A first guess at the cause, one sentence per syscall.
    pub guess: Vec<String>,
    /// Reasons that the cases give: those of conditions that hold on one side only.
    pub because: Vec<CaseReason>,
    /// Everything that differs.
    pub changes: BTreeSet<Change>,
    /// The cells.
    pub cells: Cells,
    /// Name of the cell that the diff shows.
    pub example: String,
    /// A diff from A to B of that cell's transcripts.
    pub diff: Vec<String>,
}

/// A reason that a case gives for expecting something else of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseReason {
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// True if the condition holds on B, false if on A.
    pub on_b: bool,
}

/// Cells that were not compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exclusion {
    /// Reason.
    pub why: String,
    /// The cells.
    pub cells: Cells,
}

/// A set of cells, by name and as globs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cells {
    /// Number of cells.
    pub count: usize,
    /// Globs that select exactly these of all cells compared, each with the number that it selects.
    pub globs: Vec<(String, usize)>,
    /// Names of the cells.
    pub names: Vec<String>,
}

/// The most important difference, in the order in which groups are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The kernel died, or reported a fault.
    Fault,
    /// A syscall returns something else.
    Result,
    /// A capability is checked that was not checked before.
    ExtraCheck,
    /// A capability is no longer checked.
    MissingCheck,
    /// A record is new.
    NewRecord,
    /// A record is lost.
    LostRecord,
    /// The same checks and records, in another order or by another call.
    Order,
    /// A check ends in another way.
    Answer,
    /// A check is made more or less often.
    Number,
    /// Any other difference.
    Other,
    /// The cell behaves differently on repetition, on one side only.
    Flaky,
    /// Only the verdict differs.
    Verdict,
}

impl DifferenceKind {
    /// True if the two sides certainly saw something else.
    #[must_use]
    pub fn is_seen(self) -> bool {
        !matches!(self, Self::Flaky | Self::Verdict)
    }
}

/// Cells by policy, empty where it does not matter, and by case and coordinates.
pub(super) type CellSet<'a> = BTreeSet<(&'a str, CellId<'a>)>;

/// The beginning of [`Exclusion::why`] for cells that only A, only B, or both skipped.
pub(super) const SKIPPED: [&str; 3] = ["on A only", "on B only", "on both"];

impl Exclusion {
    /// True if only B skipped them.
    #[must_use]
    pub fn is_only_on_b(&self) -> bool {
        self.why.starts_with(SKIPPED[1])
    }

    /// True if both sides skipped them.
    #[must_use]
    pub fn is_on_both(&self) -> bool {
        self.why.starts_with(SKIPPED[2])
    }
}

impl Group {
    /// True if the cases expect the difference: both sides pass, and a condition on the kernel
    /// gives the reason.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        expected((self.verdict_a, self.verdict_b), &self.because)
    }
}

pub(super) fn expected(verdicts: (Verdict, Verdict), because: &[CaseReason]) -> bool {
    verdicts == (Verdict::Pass, Verdict::Pass) && !because.is_empty()
}

impl Cells {
    /// Describes `cells`, a subset of `all`. Globs name the policy if there are several.
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
