//! What became of a mutation.

use std::collections::BTreeSet;

use crate::judge::Verdict;
use crate::record::{CellResult, Run};
use crate::source::DoesNotApply;

/// What became of a mutation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Cells noticed it.
    Noticed(Notice),
    /// No cell of the whole suite did: a hole in it.
    Unnoticed,
    /// The kernel died of it before a cell could notice: how.
    Died(String),
    /// The same kernel came out: the tree has no use for what it changes.
    SameKernel,
    /// The tree is another one than it was written for.
    DoesNotApply(DoesNotApply),
    /// It does not compile: the first error.
    DoesNotBuild(String),
}

/// How a mutation was noticed.
#[derive(Clone, Debug)]
pub struct Notice {
    /// A cell that noticed it.
    pub cell: Box<CellResult>,
    /// How many did.
    pub cells: usize,
    /// Whether they are among those that the mutation names.
    pub named: bool,
}

impl Notice {
    /// What the cells of a run noticed, which the same cells of the unchanged kernel did not; the cell whose
    /// transcript differs least is the one that tells most.
    pub fn of(run: &Run, base: &Run, named: bool) -> Option<Self> {
        let fails = |cell: &&CellResult| cell.judgement.verdict == Verdict::Fail;
        let before: BTreeSet<&str> = base
            .cells()
            .filter(|cell| cell.judgement.verdict == Verdict::Pass)
            .map(|cell| cell.name.as_str())
            .collect();
        let noticed =
            || run.cells().filter(fails).filter(|cell| before.contains(cell.name.as_str()));
        let cell = noticed().min_by_key(|cell| changed_lines(cell))?;
        Some(Self { cell: Box::new(cell.clone()), cells: noticed().count(), named })
    }
}

fn changed_lines(cell: &CellResult) -> usize {
    let expected: Vec<&str> =
        cell.judgement.expected.iter().map(|line| line.text.as_str()).collect();
    let observed: Vec<&str> = cell.judgement.observed.iter().map(String::as_str).collect();
    let kept = similar::TextDiff::from_slices(&expected, &observed);
    kept.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal).count()
}

/// What a run says that no cell noticed anything in: how the kernel died, if it did.
pub(super) fn death(run: &Run) -> Option<String> {
    let refused = run.lanes.iter().find_map(|lane| lane.refused().map(str::to_owned));
    let died =
        run.lanes.iter().flat_map(|lane| &lane.deaths).map(|death| death.cause.clone()).next();
    refused.or(died)
}

/// Number of mutations by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// A cell noticed it.
    pub noticed: usize,
    /// None did.
    pub unnoticed: usize,
    /// It could not be tried: it does not build, does not live, or changes nothing.
    pub untried: usize,
    /// It does not apply to this tree.
    pub elsewhere: usize,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Noticed(_) => &mut self.noticed,
            Outcome::Unnoticed => &mut self.unnoticed,
            Outcome::Died(_) | Outcome::SameKernel | Outcome::DoesNotBuild(_) => &mut self.untried,
            Outcome::DoesNotApply(_) => &mut self.elsewhere,
        } += 1;
    }
}
