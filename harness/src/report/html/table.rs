//! The data of the matrix: kernels under policies as columns; areas, cases and cells as rows.

use std::collections::{BTreeMap, HashMap};

use super::text::LONG;
use crate::judge::{Attempt, Verdict};
use crate::record::{CellResult, LaneRun, Run, VerdictCounts};
use crate::transcript::{FittedTranscript, Transcript};

/// A kernel under a policy, in all boot modes.
pub(super) struct Column<'a> {
    /// Version of its kernel, made unique.
    pub(super) kernel: String,
    /// Name of its policy.
    pub(super) policy: String,
    pub(super) lanes: Vec<&'a LaneRun>,
}

/// Cases whose names have the same first part.
pub(super) struct Area<'a> {
    pub(super) name: &'a str,
    pub(super) cases: Vec<CaseSection<'a>>,
}

/// A case, with its cells on every kernel.
pub(super) struct CaseSection<'a> {
    /// One of its cells, for what all have in common: title, path and sources.
    pub(super) first: &'a CellResult,
    pub(super) rows: Vec<CellRow<'a>>,
    pub(super) outcomes: Vec<DistinctOutcome<'a>>,
    /// Results of its cells, each with its column.
    pub(super) cells: Vec<(usize, &'a CellResult)>,
}

/// A cell on every kernel.
pub(super) struct CellRow<'a> {
    pub(super) cell: &'a CellResult,
    /// For each column the outcomes, by their index in the case, and how often; a run can repeat a
    /// cell.
    pub(super) seen: Vec<BTreeMap<usize, usize>>,
}

/// An outcome that one or more cells of a case have in common.
pub(super) struct DistinctOutcome<'a> {
    /// Number in the document.
    pub(super) number: usize,
    pub(super) first: &'a CellResult,
    pub(super) cells: Vec<(usize, &'a CellResult)>,
    /// Number of the outcome that already shows the same notes, if they are many.
    pub(super) noted: Option<usize>,
}

/// The whole matrix.
pub(super) struct Matrix<'a> {
    pub(super) columns: Vec<Column<'a>>,
    pub(super) areas: Vec<Area<'a>>,
}

impl<'a> Matrix<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        let columns = columns(run);
        let mut cases: BTreeMap<&str, Vec<(usize, &CellResult)>> = BTreeMap::new();
        for (at, column) in columns.iter().enumerate() {
            for cell in column.lanes.iter().flat_map(|lane| &lane.cells) {
                cases.entry(&cell.case).or_default().push((at, cell));
            }
        }
        let mut areas: Vec<Area> = Vec::new();
        let mut number = 0;
        for (name, cells) in cases {
            let area = name.split('/').next().unwrap_or(name);
            let case = CaseSection::of(cells, columns.len(), &mut number);
            match areas.last_mut().filter(|last| last.name == area) {
                Some(last) => last.cases.extend(case),
                None => areas.push(Area { name: area, cases: case.into_iter().collect() }),
            }
        }
        let mut table = Self { columns, areas };
        table.note();
        table
    }
}

impl Matrix<'_> {
    /// Finds the first outcome with the same notes, for those with many.
    fn note(&mut self) {
        let mut shown: HashMap<&[String], usize> = HashMap::new();
        let cases = self.areas.iter_mut().flat_map(|area| &mut area.cases);
        for outcome in cases.flat_map(|case| &mut case.outcomes) {
            let notes = &outcome.first.judgement.notes;
            if notes.len() > LONG {
                let number = *shown.entry(notes).or_insert(outcome.number);
                outcome.noted = (number != outcome.number).then_some(number);
            }
        }
    }
}

impl Area<'_> {
    pub(super) fn counts(&self, column: usize) -> VerdictCounts {
        VerdictCounts::of(self.cases.iter().flat_map(|case| case.cells(column)))
    }

    pub(super) fn is_bad(&self) -> bool {
        self.cases.iter().any(CaseSection::is_bad)
    }
}

impl<'a> CaseSection<'a> {
    fn of(cells: Vec<(usize, &'a CellResult)>, columns: usize, number: &mut usize) -> Option<Self> {
        let first = cells.first()?.1;
        let mut outcomes: Vec<DistinctOutcome> = Vec::new();
        let mut known: HashMap<OutcomeKey, usize> = HashMap::new();
        let mut rows: BTreeMap<_, CellRow> = BTreeMap::new();
        for &(column, cell) in &cells {
            let at = *known.entry(OutcomeKey::of(cell)).or_insert_with(|| {
                outcomes.push(DistinctOutcome {
                    number: *number,
                    first: cell,
                    cells: Vec::new(),
                    noted: None,
                });
                *number += 1;
                outcomes.len() - 1
            });
            outcomes[at].cells.push((column, cell));
            // Not by name, which would sort 10 before 2.
            let row = rows
                .entry((&cell.at, &cell.name))
                .or_insert_with(|| CellRow { cell, seen: vec![BTreeMap::new(); columns] });
            *row.seen[column].entry(at).or_insert(0) += 1;
        }
        Some(Self { first, rows: rows.into_values().collect(), outcomes, cells })
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &'a CellResult> {
        self.cells.iter().filter(move |(at, _)| *at == column).map(|(_, cell)| *cell)
    }

    pub(super) fn counts(&self, column: usize) -> VerdictCounts {
        VerdictCounts::of(self.cells(column))
    }

    pub(super) fn is_bad(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.verdict().is_bad())
    }
}

impl DistinctOutcome<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        self.first.judgement.verdict
    }
}

/// Cells of a case with equal keys have the same outcome.
#[derive(PartialEq, Eq, Hash)]
struct OutcomeKey<'a> {
    verdict: Verdict,
    reason: Option<&'a str>,
    observed: &'a Transcript,
    /// Line in which the expectation begins.
    line: usize,
    /// The expectation, which may depend on the kernel, unless it was met.
    expected: Option<&'a FittedTranscript>,
    notes: &'a [String],
    known: Option<&'a str>,
    attempts: &'a [Attempt],
}

impl<'a> OutcomeKey<'a> {
    fn of(cell: &'a CellResult) -> Self {
        let judgement = &cell.judgement;
        let met = *judgement.expected.transcript() == judgement.observed;
        Self {
            verdict: judgement.verdict,
            reason: judgement.reason.as_deref(),
            observed: &judgement.observed,
            line: cell.line,
            expected: (!met).then_some(&judgement.expected),
            notes: &judgement.notes,
            known: judgement.known.as_ref().map(|known| known.name.as_str()),
            attempts: &judgement.attempts,
        }
    }
}

fn columns(run: &Run) -> Vec<Column<'_>> {
    let same = |a: &LaneRun, b: &LaneRun| {
        let (a, b) = (&a.started, &b.started);
        a.kernel.identity() == b.kernel.identity()
            && a.kernel.release == b.kernel.release
            && a.kernel.origin == b.kernel.origin
            && (&a.policy, &a.policy_sha256) == (&b.policy, &b.policy_sha256)
    };
    let mut columns: Vec<Column> = Vec::new();
    for lane in &run.lanes {
        match columns.iter_mut().find(|column| same(column.lanes[0], lane)) {
            Some(column) => column.lanes.push(lane),
            None => columns.push(Column {
                kernel: lane.started.kernel.version.to_string(),
                policy: lane.started.policy.clone(),
                lanes: vec![lane],
            }),
        }
    }
    make_unique(&mut columns);
    columns
}

/// Makes the names of kernels unique: two of one version get their releases as names, or else
/// numbers.
fn make_unique(columns: &mut [Column]) {
    let names: Vec<_> = columns.iter().map(|it| (it.kernel.clone(), it.policy.clone())).collect();
    for at in 0..columns.len() {
        let twins: Vec<usize> =
            (0..names.len()).filter(|other| names[*other] == names[at]).collect();
        if twins.len() < 2 {
            continue;
        }
        let release = |at: usize| &columns[at].lanes[0].started.kernel.release;
        let unique = twins.iter().all(|other| *other == at || release(*other) != release(at));
        columns[at].kernel = if unique {
            release(at).clone()
        } else {
            let place = twins.iter().take_while(|other| **other != at).count() + 1;
            format!("{} ({place})", columns[at].kernel)
        };
    }
}
