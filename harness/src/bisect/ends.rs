//! The runs of both ends of a bisection, and the mark of a commit by comparison with them.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use super::error::BisectError;
use crate::compare::{Comparison, DifferenceKind, Exclusion, Group, NothingInCommon, sides};
use crate::counted::counted;
use crate::engine::RecordedRun;
use crate::judge::Verdict;
use crate::record::{CellResult, Run};

/// The mark of a commit for `git bisect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BisectMark {
    /// It comes before the first bad commit.
    Good,
    /// It is the first bad commit or comes after it.
    Bad,
    /// It cannot be judged.
    Skip,
}

impl BisectMark {
    /// The subcommand of `git bisect`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Skip => "skip",
        }
    }
}

/// The runs of both ends, and the cells in which they differ.
pub(super) struct Ends {
    pub(super) good: Rc<RecordedRun>,
    pub(super) bad: Rc<RecordedRun>,
    pub(super) cells: BTreeSet<String>,
    /// Notes on differing cells that are left out.
    pub(super) notes: Vec<String>,
}

impl Ends {
    /// Compares the two ends.
    ///
    /// # Errors
    ///
    /// Returns an error if they do not differ.
    pub(super) fn of(good: Rc<RecordedRun>, bad: Rc<RecordedRun>) -> Result<Self, BisectError> {
        let comparison = compare(("good", &good.run), ("bad", &bad.run), None)?;
        let (seen, verdict): (Vec<&Group>, Vec<&Group>) =
            comparison.groups.iter().partition(|group| group.kind.is_seen());
        // A change that the cases expect between the two versions needs no bisection.
        let (expected, unexpected): (Vec<&Group>, Vec<&Group>) =
            seen.iter().copied().partition(|group| group.is_expected());
        let (chosen, left) =
            if unexpected.is_empty() { (expected, Vec::new()) } else { (unexpected, expected) };
        let mut notes = Vec::new();
        if !left.is_empty() {
            notes.push(format!(
                "left out: {} in which the ends differ as the cases expect; name them to add them",
                counted(names(&left).len(), "cell")
            ));
        }
        let cells = names(&chosen);
        if cells.is_empty() {
            return Err(BisectError::Same(why_same(&comparison, &verdict)));
        }
        Ok(Self { good, bad, cells, notes })
    }

    /// The mark of a commit with this run, and the reason.
    pub(super) fn judge(&self, run: &Run) -> Result<(BisectMark, String), BisectError> {
        let (otherwise, unknown) = self.unlike(&self.good.run, run)?;
        let (not_bad, unknown_too) = self.unlike(&self.bad.run, run)?;
        let (fails, failed) = (failing(run), failing(&self.good.run));
        let mut counts = [0; 5];
        for cell in &self.cells {
            let known = !unknown.contains(cell) && !unknown_too.contains(cell);
            let place = match (otherwise.contains(cell), not_bad.contains(cell)) {
                (true, false) if known => 0,
                (false, true) if known => 1,
                (true, true) if fails.contains(&**cell) && !failed.contains(&**cell) => 2,
                (true, true) => 3,
                // Like both ends: the difference between them was not observed.
                _ => 4,
            };
            counts[place] += 1;
        }
        let words = [
            "as at the bad end",
            "as at the good end",
            "as at neither, and failing",
            "as at neither",
            "not judged",
        ];
        let parts = std::iter::zip(counts, words).filter(|(count, _)| *count > 0);
        let mut parts: Vec<_> = parts.map(|(count, words)| format!("{count} {words}")).collect();
        if let Some(first) = parts.first_mut() {
            let cells = if self.cells.len() == 1 { "cell" } else { "cells" };
            *first = first.replacen(' ', &format!(" of {} {cells} ", self.cells.len()), 1);
        }
        let why = parts.join(", ");
        Ok(match counts {
            [0, 0, 0, 0, _] => (BisectMark::Skip, format!("{why}: {}", self.why_unjudged(run))),
            [0, _, 0, ..] => (BisectMark::Good, why),
            _ => (BisectMark::Bad, why),
        })
    }

    fn why_unjudged(&self, run: &Run) -> String {
        let unknown = |cell: &&CellResult| {
            self.cells.contains(&cell.name) && !cell.judgement.verdict.judged()
        };
        let cell = run.cells().find(unknown).map(verdict_and_reason);
        cell.unwrap_or_else(|| "no cell in which the ends differ was observed".to_owned())
    }

    /// The cells that saw something else in another run, and the cells that cannot be compared.
    fn unlike(
        &self,
        end: &Run,
        run: &Run,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), BisectError> {
        let comparison = compare(("the end", end), ("the commit", run), Some(&self.cells))?;
        let groups: Vec<_> =
            comparison.groups.iter().filter(|group| group.kind.is_seen()).collect();
        let Comparison { not_judged, skipped, changed_cases, only, .. } = &comparison;
        let apart = [not_judged, skipped, changed_cases, only].into_iter().flatten();
        let unknown = apart.flat_map(|apart: &Exclusion| apart.cells.names.iter().cloned());
        Ok((names(&groups), unknown.collect()))
    }
}

/// Compares two runs of one kernel each.
pub(super) fn compare(
    a: (&str, &Run),
    b: (&str, &Run),
    cells: Option<&BTreeSet<String>>,
) -> Result<Comparison, BisectError> {
    let wanted = |name: &str| cells.is_none_or(|cells| cells.contains(name));
    let (one, other) = (sides(a.1, a.0), sides(b.1, b.0));
    match (one.first(), other.first()) {
        (Some(one), Some(other)) => Ok(Comparison::of(one, other, &|name, _| wanted(name))?),
        _ => Err(NothingInCommon::of(a.0.to_owned(), b.0.to_owned()).into()),
    }
}

/// The reason why no cell of a run was judged, if none was.
#[must_use]
pub fn unjudged(run: &Run) -> Option<String> {
    if run.cells().any(|cell| cell.judgement.verdict.judged()) {
        return None;
    }
    let refused = run.lanes.iter().find_map(|lane| lane.refused());
    if let Some(refused) = refused {
        return Some(refused.to_owned());
    }
    Some(run.cells().next().map_or_else(|| "no cell ran".to_owned(), verdict_and_reason))
}

/// The verdict on a cell that was not judged, and the reason.
fn verdict_and_reason(cell: &CellResult) -> String {
    let reason = cell.judgement.reason.as_deref().unwrap_or("no reason");
    format!("{}: {reason}", cell.judgement.verdict)
}

fn names(groups: &[&Group]) -> BTreeSet<String> {
    groups.iter().flat_map(|group| group.cells.names.iter().cloned()).collect()
}

fn failing(run: &Run) -> BTreeSet<&str> {
    let fails = |cell: &&CellResult| cell.judgement.verdict == Verdict::Fail;
    run.cells().filter(fails).map(|cell| cell.name.as_str()).collect()
}

fn why_same(comparison: &Comparison, verdict: &[&Group]) -> String {
    let mut parts = vec![format!("{} saw the same at both ends", counted(comparison.same, "cell"))];
    let (flaky, verdict): (Vec<&Group>, Vec<&Group>) =
        verdict.iter().partition(|group| group.kind == DifferenceKind::Flaky);
    let (flaky, verdicts) = (names(&flaky).len(), names(&verdict).len());
    if flaky > 0 {
        parts.push(format!("{} FLAKY at one end", counted(flaky, "cell")));
    }
    if verdicts > 0 {
        let cells = counted(verdicts, "cell");
        parts.push(format!("{cells} saw the same, and only the verdict differs"));
    }
    for apart in comparison.not_judged.iter().chain(&comparison.skipped) {
        parts.push(format!(
            "{} could not be compared: {}",
            counted(apart.cells.count, "cell"),
            apart.why
        ));
    }
    parts.join("; ")
}
