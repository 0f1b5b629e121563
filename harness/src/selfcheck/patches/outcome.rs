//! The outcome of a mutation.

use super::super::cells::{changed_lines, passed};
use crate::judge::Verdict;
use crate::record::{CellResult, Run};
use crate::source::ApplyError;

/// The outcome of a mutation.
#[derive(Clone, Debug)]
pub enum MutationOutcome {
    /// Cells noticed it.
    Noticed(Notice),
    /// No cell of the whole suite noticed it: the suite has a hole.
    Unnoticed,
    /// The kernel died before a cell could notice; the cause.
    Died(String),
    /// The image is that of the unchanged kernel: the tree does not use the code.
    SameKernel,
    /// The tree is not the one that it was written for.
    DoesNotApply(ApplyError),
    /// It does not compile; the first error.
    DoesNotBuild(String),
}

/// The cells that noticed a mutation.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The cell that shows it best.
    pub cell: Box<CellResult>,
    /// The number of cells that noticed it.
    pub cells: usize,
    /// True if they are among the cells that the mutation names.
    pub named: bool,
}

impl Notice {
    /// The cells that fail in a run and pass on the unchanged kernel. The one whose transcript
    /// differs least shows the mutation best. Returns `None` if there is none.
    pub fn of(run: &Run, base: &Run, named: bool) -> Option<Self> {
        let fails = |cell: &&CellResult| cell.judgement.verdict == Verdict::Fail;
        let before = passed(base);
        let noticed = || run.cells().filter(fails).filter(|cell| before.contains(&cell.name));
        let cell = noticed().min_by_key(|cell| changed_lines(cell))?;
        Some(Self { cell: Box::new(cell.clone()), cells: noticed().count(), named })
    }
}

/// The reason why a kernel could not be tested, or what it died of.
pub(super) fn death(run: &Run) -> Option<String> {
    let refused = run.lanes.iter().find_map(|lane| lane.refused().map(str::to_owned));
    let died =
        run.lanes.iter().flat_map(|lane| &lane.deaths).map(|death| death.cause.clone()).next();
    refused.or(died)
}

/// The number of mutations with each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MutationCounts {
    /// A cell noticed it.
    pub noticed: usize,
    /// No cell noticed it.
    pub unnoticed: usize,
    /// It could not be tried: it does not build, dies, or changes nothing.
    pub untried: usize,
    /// It does not apply to this tree.
    pub elsewhere: usize,
}

impl MutationCounts {
    /// Counts an outcome.
    pub fn add(&mut self, outcome: &MutationOutcome) {
        *match outcome {
            MutationOutcome::Noticed(_) => &mut self.noticed,
            MutationOutcome::Unnoticed => &mut self.unnoticed,
            MutationOutcome::Died(_)
            | MutationOutcome::SameKernel
            | MutationOutcome::DoesNotBuild(_) => &mut self.untried,
            MutationOutcome::DoesNotApply(_) => &mut self.elsewhere,
        } += 1;
    }
}
