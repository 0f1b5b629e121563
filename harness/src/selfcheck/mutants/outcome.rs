//! The outcome of a mutant.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::cells::{changed_lines, failure};
use crate::counted::counted;
use crate::engine::UntilBroken;
use crate::judge::Verdict;
use crate::machines::Blame;
use crate::record::{CellResult, LaneRun, Run};

/// Cells that are named when no cell fails and some could not be judged.
const NAMED: usize = 3;

/// The outcome of a mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum MutantOutcome {
    /// A cell failed that passes on the unmutated kernel.
    Killed {
        /// The cell.
        cell: String,
        /// True if it is one of the cells of the mutant's area.
        by_area: bool,
        /// The difference in its transcript, and the reason for its verdict.
        difference: Vec<String>,
    },
    /// The kernel died, did not boot, or is not what the agent needs; the cause.
    Died {
        /// The cause.
        cause: String,
    },
    /// No cell failed: none of those that reach the mutant or, if that is unknown, of all. A
    /// mutant that somebody judged ran a cell of each case of its area.
    Survived {
        /// The number of cells that run the mutated code; `None` if it is unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reached_by: Option<usize>,
        /// Cells that pass on the unmutated kernel and could not be judged on this one, with
        /// reasons.
        unjudged: Vec<String>,
        /// True if it was built alone, and gives another image than the unchanged source.
        differs: bool,
    },
    /// Its image is that of the unchanged source.
    Identical,
    /// It does not compile; the first error.
    DoesNotCompile {
        /// The error.
        error: String,
    },
}

impl MutantOutcome {
    /// The outcome of a mutant on which the cells of its area, or all, ran; `passed` are those that
    /// pass on the unmutated kernel.
    pub(super) fn of(lanes: &[&LaneRun], passed: &BTreeSet<String>, by_area: bool) -> Self {
        let cells = || lanes.iter().flat_map(|lane| &lane.cells);
        let passed = |cell: &&CellResult| passed.contains(&cell.name);
        let fails = |cell: &&CellResult| cell.judgement.verdict == Verdict::Fail;
        let killer = cells().filter(fails).filter(passed).min_by_key(|cell| changed_lines(cell));
        if let Some(cell) = killer {
            let difference = failure(cell).plain().lines().map(str::to_owned).collect();
            return Self::Killed { cell: cell.name.clone(), by_area, difference };
        }
        if let Some(cause) = lanes.iter().find_map(|lane| death(lane)) {
            return Self::Died { cause };
        }
        let lost = |cell: &&CellResult| {
            matches!(cell.judgement.verdict, Verdict::Error | Verdict::Miss | Verdict::Flaky)
        };
        let lost: Vec<&CellResult> = cells().filter(passed).filter(lost).collect();
        let errors = lost.iter().filter(|cell| cell.judgement.verdict == Verdict::Error).count();
        let all = lost.len() == cells().filter(passed).count();
        let reason = |cell: &CellResult| cell.judgement.reason.clone().unwrap_or_default();
        match lost.first() {
            // No agent works on such a kernel.
            Some(first) if all => {
                Self::Died { cause: format!("no cell could be carried out: {}", reason(first)) }
            }
            Some(first) if errors >= UntilBroken::ERRORS => {
                let cells = counted(errors, "cell");
                Self::Died { cause: format!("{cells} could not be carried out: {}", reason(first)) }
            }
            _ => {
                let lost = lost.into_iter().take(NAMED);
                let lost = lost.map(|cell| {
                    format!("{} {}: {}", cell.judgement.verdict, cell.name, reason(cell))
                });
                let unjudged = lost.collect();
                Self::Survived { reached_by: None, unjudged, differs: false }
            }
        }
    }

    /// The outcome of a mutant that no cell reaches, before that is noted.
    pub(super) fn unreached() -> Self {
        Self::Survived { reached_by: None, unjudged: Vec::new(), differs: false }
    }

    /// Notes, for a survivor, the number of cells that reach it.
    pub(super) fn reached_by(mut self, cells: usize) -> Self {
        if let Self::Survived { reached_by, .. } = &mut self {
            *reached_by = Some(cells);
        }
        self
    }

    /// True if no cell noticed the mutant.
    #[must_use]
    pub fn is_survivor(&self) -> bool {
        matches!(self, Self::Survived { .. })
    }
}

/// The cells that can show nothing, because they fail or cannot be judged without a mutant.
pub(super) fn useless(run: &Run) -> Vec<String> {
    let useless = |cell: &&CellResult| {
        matches!(
            cell.judgement.verdict,
            Verdict::Fail | Verdict::Flaky | Verdict::Error | Verdict::Miss
        )
    };
    let cells = run.cells().filter(useless);
    cells.map(|cell| format!("{} {}", cell.judgement.verdict, cell.name)).collect()
}

/// The reason why a kernel could not be tested, or what it died of.
pub(super) fn death(lane: &LaneRun) -> Option<String> {
    let died = lane.deaths.iter().find(|death| death.blame == Blame::Kernel);
    let died = died.map(|death| death.cause.clone());
    died.or_else(|| lane.refused().map(str::to_owned))
}
