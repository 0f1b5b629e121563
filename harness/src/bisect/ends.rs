//! What the two ends look like, and which of them a commit looks like.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use super::engine::Ran;
use super::error::BisectError;
use crate::compare::{Comparison, DifferenceKind, Exclusion, Group, NothingInCommon, sides};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{CellResult, Run};

/// What `git bisect` is told of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It comes before what is looked for.
    Good,
    /// It does not.
    Bad,
    /// Nobody knows.
    Skip,
}

impl Mark {
    /// git's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Skip => "skip",
        }
    }
}

/// The runs of both ends, and the cells by which they are told from each other.
pub(super) struct Ends {
    pub(super) good: Rc<Ran>,
    pub(super) bad: Rc<Ran>,
    pub(super) cells: BTreeSet<String>,
    /// What was left out of them.
    pub(super) notes: Vec<String>,
}

impl Ends {
    /// # Errors
    ///
    /// When nothing tells them from each other.
    pub(super) fn of(good: Rc<Ran>, bad: Rc<Ran>) -> Result<Self, BisectError> {
        let comparison = compare(("good", &good.run), ("bad", &bad.run), None)?;
        let (told, verdict): (Vec<&Group>, Vec<&Group>) =
            comparison.groups.iter().partition(|group| is_seen(group));
        // Which commit does what the cases expect of its version is known without building any.
        let (expected, unexpected): (Vec<&Group>, Vec<&Group>) =
            told.iter().copied().partition(|group| group.is_expected());
        let (chosen, left) =
            if unexpected.is_empty() { (expected, Vec::new()) } else { (unexpected, expected) };
        let mut notes = Vec::new();
        if !left.is_empty() {
            notes.push(format!(
                "{} that the ends differ in as the cases expect are left out: name cells to ask for them",
                counted(names(&left).len(), "cell")
            ));
        }
        let cells = names(&chosen);
        if cells.is_empty() {
            return Err(BisectError::Same(why_same(&comparison, &verdict)));
        }
        Ok(Self { good, bad, cells, notes })
    }

    /// What a commit with this run is, and why.
    pub(super) fn judge(&self, run: &Run) -> Result<(Mark, String), BisectError> {
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
                // As both: what tells them apart could not be seen.
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
            [0, 0, 0, 0, _] => (Mark::Skip, format!("{why}: {}", self.why_unjudged(run))),
            [0, _, 0, ..] => (Mark::Good, why),
            _ => (Mark::Bad, why),
        })
    }

    fn why_unjudged(&self, run: &Run) -> String {
        let unknown = |cell: &&CellResult| {
            self.cells.contains(&cell.name) && !cell.judgement.verdict.judged()
        };
        let told = run.cells().find(unknown).map(of_cell);
        told.unwrap_or_else(|| "what tells the ends apart was not seen".to_owned())
    }

    /// The cells that saw something else in another run, and those of which that is not known.
    fn unlike(
        &self,
        end: &Run,
        run: &Run,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), BisectError> {
        let comparison = compare(("the end", end), ("the commit", run), Some(&self.cells))?;
        let groups: Vec<_> = comparison.groups.iter().filter(|group| is_seen(group)).collect();
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

/// Why nothing could be tested in a run, if nothing was.
#[must_use]
pub fn unjudged(run: &Run) -> Option<String> {
    if run.cells().any(|cell| cell.judgement.verdict.judged()) {
        return None;
    }
    let refused = run.lanes.iter().find_map(|lane| lane.refused());
    if let Some(refused) = refused {
        return Some(refused.to_owned());
    }
    Some(run.cells().next().map_or_else(|| "no cell ran".to_owned(), of_cell))
}

/// Why a cell was not judged.
fn of_cell(cell: &CellResult) -> String {
    let reason = cell.judgement.reason.as_deref().unwrap_or("no reason");
    format!("{}: {reason}", cell.judgement.verdict)
}

/// Whether the kernels differ, and not only what the cases expect of them.
fn is_seen(group: &Group) -> bool {
    group.kind != DifferenceKind::Verdict
}

fn names(groups: &[&Group]) -> BTreeSet<String> {
    groups.iter().flat_map(|group| group.cells.names.iter().cloned()).collect()
}

fn failing(run: &Run) -> BTreeSet<&str> {
    let fails = |cell: &&CellResult| cell.judgement.verdict == Verdict::Fail;
    run.cells().filter(fails).map(|cell| cell.name.as_str()).collect()
}

fn why_same(comparison: &Comparison, verdict: &[&Group]) -> String {
    let mut parts =
        vec![format!("the same is seen at both ends in {}", counted(comparison.same, "cell"))];
    let verdicts = names(verdict).len();
    if verdicts > 0 {
        parts.push(format!("and in {} that only one is to see it in", counted(verdicts, "cell")));
    }
    for apart in comparison.not_judged.iter().chain(&comparison.skipped) {
        parts.push(format!(
            "{} could not be compared: {}",
            counted(apart.cells.count, "cell"),
            apart.why
        ));
    }
    crate::printable::printable_line(&parts.join("; "))
}
