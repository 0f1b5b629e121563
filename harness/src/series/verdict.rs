//! The verdict on a whole series: its problems, the worst first, and its headline.

use std::collections::BTreeSet;

use super::outcome::{
    ApplyResult, BootResult, BuildResult, CellChanges, PatchOutcome, SeriesOutcome, TestResult,
    unstated,
};
use crate::counted::counted;

/// A problem of a series. The worst comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// This patch does not apply, so nothing was built.
    NotApplied(usize),
    /// The kernel of the base does not build.
    BaseNotBuilt,
    /// The kernel of the base cannot be tested.
    BaseNotRun,
    /// The kernel does not build with these patches.
    NotBuilt(Vec<usize>),
    /// The kernel does not boot, or cannot be tested, with these patches.
    NotRun(Vec<usize>),
    /// Cells newly fail, and nobody stated it.
    Failing {
        /// Number of cells.
        cells: usize,
        /// The patches after which they fail.
        patches: Vec<usize>,
    },
    /// Cells changed, and nobody stated it.
    Changed {
        /// Number of cells.
        cells: usize,
        /// The patches that change them.
        patches: Vec<usize>,
    },
    /// The whole series changes cells, though no patch does.
    Whole {
        /// Number of cells.
        cells: usize,
    },
    /// Stated changes that did not happen.
    Unmet {
        /// Number of stated changes.
        changes: usize,
    },
    /// The compiler prints new warnings.
    Warnings {
        /// Number of warnings.
        warnings: usize,
        /// The patches that add them.
        patches: Vec<usize>,
    },
    /// Cells have no result to compare.
    NotJudged {
        /// Number of cells.
        cells: usize,
    },
    /// The check was not completed.
    NotEnded,
    /// No cell ran on the base.
    NothingRan,
}

impl SeriesOutcome {
    /// All problems, the worst first. A series without problems may get a `Tested-by:`: every patch
    /// applies, builds without a new warning and boots, and cells changed only as stated.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        let failed = |patch: &&PatchOutcome| matches!(patch.apply, ApplyResult::Failed { .. });
        if let Some(patch) = self.patches.iter().find(failed) {
            return vec![Problem::NotApplied(patch.number)];
        }
        match &self.base.build {
            Some(BuildResult::Failed { .. }) => return vec![Problem::BaseNotBuilt],
            _ if ran_badly(self.base.tested.as_ref()) => return vec![Problem::BaseNotRun],
            _ => {}
        }
        let unbuilt = self.numbers(|patch| matches!(patch.build, Some(BuildResult::Failed { .. })));
        all.extend((!unbuilt.is_empty()).then_some(Problem::NotBuilt(unbuilt)));
        let unbooted = self.numbers(|patch| ran_badly(patch.tested.as_ref()));
        all.extend((!unbooted.is_empty()).then_some(Problem::NotRun(unbooted)));
        self.cells(&mut all);
        let changes = self.stated.iter().filter(|stated| !stated.unmet.is_empty()).count();
        all.extend((changes > 0).then_some(Problem::Unmet { changes }));
        let warnings = self.patches.iter().map(|patch| patch.new_warnings().len()).sum();
        let patches = self.numbers(|patch| !patch.new_warnings().is_empty());
        all.extend((warnings > 0).then_some(Problem::Warnings { warnings, patches }));
        let changed = self.patches.iter().filter_map(|patch| patch.changed.as_ref());
        let cells = changed.map(CellChanges::not_judged).max().unwrap_or(0).max(self.unseen());
        all.extend((cells > 0).then_some(Problem::NotJudged { cells }));
        all.extend((!self.ended).then_some(Problem::NotEnded));
        let ran = |tested: &TestResult| match tested {
            TestResult::Ran(ran) => ran.counts.iter().any(|(verdict, _)| verdict.judged()),
            TestResult::Same { .. } => false,
        };
        let any = self.base.tested.as_ref().is_some_and(ran);
        all.extend((self.ended && !any).then_some(Problem::NothingRan));
        all
    }

    /// The problems of one patch, the worst first; `None` if it was not tried.
    #[must_use]
    pub fn problems_of(&self, patch: &PatchOutcome) -> Option<Vec<Problem>> {
        let patches = vec![patch.number];
        if matches!(patch.apply, ApplyResult::Failed { .. }) {
            return Some(vec![Problem::NotApplied(patch.number)]);
        }
        if matches!(patch.build, Some(BuildResult::Failed { .. })) {
            return Some(vec![Problem::NotBuilt(patches)]);
        }
        let tested = patch.tested.as_ref()?;
        if ran_badly(Some(tested)) {
            return Some(vec![Problem::NotRun(patches)]);
        }
        let count = |cells: fn(&CellChanges) -> usize| patch.changed.as_ref().map_or(0, cells);
        let [failing, changed, lost] =
            [CellChanges::failing, CellChanges::unstated, CellChanges::not_judged].map(count);
        let warnings = patch.new_warnings().len();
        let all = [
            (failing, Problem::Failing { cells: failing, patches: patches.clone() }),
            (changed, Problem::Changed { cells: changed, patches: patches.clone() }),
            (warnings, Problem::Warnings { warnings, patches }),
            (lost, Problem::NotJudged { cells: lost }),
        ];
        Some(all.into_iter().filter(|(number, _)| *number > 0).map(|(_, it)| it).collect())
    }

    /// Adds the problems with cells.
    fn cells(&self, all: &mut Vec<Problem>) {
        let sum = |count: fn(&CellChanges) -> usize| {
            let counted = |patch: &PatchOutcome| patch.changed.as_ref().map_or(0, count);
            let cells: usize = self.patches.iter().map(counted).sum();
            (cells, self.numbers(|patch| counted(patch) > 0))
        };
        let (cells, patches) = sum(CellChanges::failing);
        all.extend((cells > 0).then_some(Problem::Failing { cells, patches }));
        let (cells, patches) = sum(CellChanges::unstated);
        all.extend((cells > 0).then_some(Problem::Changed { cells, patches }));
        let whole = self.whole.as_ref().map_or(0, unstated);
        all.extend((whole > 0 && cells == 0).then_some(Problem::Whole { cells: whole }));
    }

    /// The largest number of cells without a result on any kernel.
    fn unseen(&self) -> usize {
        let tested = self.patches.iter().map(|patch| &patch.tested).chain([&self.base.tested]);
        let unseen = tested.map(|tested| match tested {
            Some(TestResult::Ran(ran)) => ran.unseen,
            _ => 0,
        });
        unseen.max().unwrap_or(0)
    }

    fn numbers(&self, wanted: impl Fn(&PatchOutcome) -> bool) -> Vec<usize> {
        self.patches.iter().filter(|patch| wanted(patch)).map(|patch| patch.number).collect()
    }

    /// The names of all cells that some patch changes.
    pub(crate) fn changed(&self) -> BTreeSet<&str> {
        let changed = self.patches.iter().filter_map(|patch| patch.changed.as_ref());
        let groups = changed.flat_map(|changed| &changed.comparison.groups);
        groups.flat_map(|group| group.cells.names.iter().map(String::as_str)).collect()
    }

    /// The verdict in one line, which is also the subject of a mail.
    #[must_use]
    pub fn headline(&self) -> String {
        let words = match self.problems().first() {
            Some(problem) => self.words(problem),
            None => self.fine(),
        };
        format!("perfsec: {words}")
    }

    /// The headline of a series without problems.
    fn fine(&self) -> String {
        let patches = match self.patches.len() {
            1 => "1 patch".to_owned(),
            many => format!("{many} patches"),
        };
        let (change, all) =
            if self.patches.len() == 1 { ("changes", "") } else { ("change", "all ") };
        match self.changed().len() {
            0 => format!("{patches} {change} no cell"),
            1 => format!("{patches} {change} 1 cell, as stated"),
            cells => format!("{patches} {change} {cells} cells, {all}as stated"),
        }
    }

    /// The text of a problem.
    #[must_use]
    pub fn words(&self, problem: &Problem) -> String {
        let base = &self.base.describe;
        let patches = |numbers: &[usize]| self.name(numbers);
        let (do_, change, bring) = match problem {
            Problem::NotBuilt(one) | Problem::NotRun(one) if one.len() == 1 => ("does", "", ""),
            Problem::Changed { patches, .. } | Problem::Warnings { patches, .. }
                if patches.len() == 1 =>
            {
                ("does", "changes", "brings")
            }
            _ => ("do", "change", "bring"),
        };
        match problem {
            Problem::BaseNotBuilt => format!("the base {base} does not build"),
            Problem::BaseNotRun => format!("the base {base} cannot be tested"),
            Problem::NotApplied(number) => {
                format!("{} does not apply to {base}", patches(&[*number]))
            }
            Problem::NotBuilt(numbers) => format!("{} {do_} not build", patches(numbers)),
            Problem::NotRun(numbers) => format!("{} {do_} not boot", patches(numbers)),
            Problem::Failing { cells, patches: numbers } => {
                let fail = if *cells == 1 { "fails" } else { "fail" };
                let after = patches(numbers);
                format!("{} {fail} after {after} and did not before", counted(*cells, "cell"))
            }
            Problem::Changed { cells, patches: numbers } => {
                let cells = counted(*cells, "cell");
                let unsaid =
                    if self.stated.is_empty() { "" } else { " in a way that was not stated" };
                format!("{} {change} {cells}{unsaid}", patches(numbers))
            }
            Problem::Whole { cells } => {
                let cells = counted(*cells, "cell");
                format!("the whole series changes {cells}, though no patch does")
            }
            Problem::Unmet { changes } => {
                format!("{} did not happen", counted(*changes, "stated change"))
            }
            Problem::Warnings { warnings, patches: numbers } => {
                let warnings = counted(*warnings, "new compiler warning");
                format!("{} {bring} {warnings}", patches(numbers))
            }
            Problem::NotJudged { cells } => {
                let are = if *cells == 1 { "is" } else { "are" };
                format!("{} {are} not judged", counted(*cells, "cell"))
            }
            Problem::NotEnded => "the series was not checked to its end".to_owned(),
            Problem::NothingRan => "no cell ran".to_owned(),
        }
    }

    /// `patch 3 of 10`, `patches 3 and 4 of 10`, `4 of 10 patches`.
    fn name(&self, numbers: &[usize]) -> String {
        let of = self.patches.len();
        match numbers {
            [_] if of == 1 => "the patch".to_owned(),
            [one] => format!("patch {one} of {of}"),
            [one, other] => format!("patches {one} and {other} of {of}"),
            many => format!("{} of {of} patches", many.len()),
        }
    }
}

/// True if a kernel ran and cannot be tested.
fn ran_badly(tested: Option<&TestResult>) -> bool {
    matches!(tested, Some(TestResult::Ran(ran)) if ran.boot != BootResult::Booted)
}
