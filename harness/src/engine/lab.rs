//! A lab builds kernels and runs cells on them, for those who compare kernels.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Engine, EngineError, Execution, KeptRuns, Suite, UntilBroken};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::kbuild::{BuildError, BuiltKernel};
use crate::kernel::{Kernel, hash};
use crate::plan::{Filter, PlannedCell, likeliest_first};
use crate::policy::{self, Policy};
use crate::record::Run;
use crate::source::{Commit, Source};

/// Builds kernels and runs cells on them. Tests replace it.
pub trait Lab {
    /// Builds a commit.
    ///
    /// # Errors
    ///
    /// [`BuildError::is_commits_fault`] tells whether the commit is to blame.
    fn build(&mut self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError>;

    /// Runs cells on kernels, as one run. If the user stops it, the run is returned as far as it
    /// got.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than a kernel is to blame.
    fn run(&mut self, kernels: &[Kernel], batch: &Batch) -> Result<RecordedRun, EngineError>;

    /// Shows what is done now. The next one may replace it.
    fn say(&self, text: &str);

    /// Shows something that stays on the screen.
    fn note(&self, text: &str);

    /// True once the user wants the work to stop.
    fn stopped(&self) -> bool;
}

/// Cells to run, and the policies to run them under.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Selects the cells, and goes into the record.
    pub filter: Filter,
    /// The cells, if they are not those that the filter selects.
    pub cells: Option<Vec<PlannedCell>>,
    /// The policies, if they are not those of the engine's setup.
    pub policies: Option<Vec<Arc<Policy>>>,
    /// Ends the run of each kernel as soon as it is seen to be broken.
    pub until_broken: Option<UntilBroken>,
}

/// A run and its record.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    /// The run.
    pub run: Run,
    /// Path of the run record.
    pub record: PathBuf,
    /// SHA-256 of the run record, in hexadecimal.
    pub sha256: String,
}

/// The use of runs that an earlier check kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Runs everything and keeps nothing.
    Nothing,
    /// Runs everything and keeps it in place of earlier runs.
    Replace,
    /// Returns a kept run if there is one.
    Kept,
}

/// The lab that really builds and boots.
pub struct EngineLab<'a> {
    engine: &'a Engine<'a>,
    suite: &'a Suite,
    reuse: Reuse,
}

impl From<Filter> for Batch {
    fn from(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }
}

impl RecordedRun {
    /// A run that ended, with its record.
    ///
    /// # Errors
    ///
    /// Returns the error that stopped the run, or an error if the record cannot be read.
    pub fn of(execution: Execution) -> Result<Self, EngineError> {
        let record = execution.record.clone();
        let run = execution.whole()?;
        match hash::sha256_path(&record) {
            Ok(sha256) => Ok(Self { run, record, sha256 }),
            Err(source) => Err(EngineError::ReadRecord { path: record, source }),
        }
    }
}

impl<'a> EngineLab<'a> {
    /// A lab that runs cells of a suite on an engine's machines.
    #[must_use]
    pub fn new(engine: &'a Engine<'a>, suite: &'a Suite, reuse: Reuse) -> Self {
        Self { engine, suite, reuse }
    }

    /// The kept run of these kernels, if one may be reused.
    fn reused(&self, kept: &KeptRuns, kernels: &str) -> Option<RecordedRun> {
        let found = kept.find(kernels)?;
        let text = format!("an earlier check ran it: {}", found.record.display());
        match found.run.counts().get(Verdict::Error) {
            0 => self.say(&text),
            cells => {
                let cells = counted(cells, "cell");
                self.note(&format!("{text}; {cells} ERROR, which --again runs again"));
            }
        }
        Some(found)
    }
}

/// The contexts of cells in domains of a policy that is not ours. Cells that are skipped do not
/// decide where the others run: those of a guest system always have a context.
fn contexts(cells: &[PlannedCell]) -> Vec<String> {
    let run = cells.iter().filter(|cell| cell.case.unfit.is_none());
    let domains: BTreeSet<&String> = run.map(|cell| &cell.at.domain).collect();
    domains.into_iter().filter(|domain| policy::is_context(domain)).cloned().collect()
}

impl Lab for EngineLab<'_> {
    fn build(&mut self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError> {
        self.engine.build(source, commit)
    }

    fn run(&mut self, kernels: &[Kernel], batch: &Batch) -> Result<RecordedRun, EngineError> {
        let cells = match &batch.cells {
            Some(cells) => cells.clone(),
            None => self.suite.select(&batch.filter)?,
        };
        let cells = match &batch.until_broken {
            Some(until) => likeliest_first(cells, &until.ranks),
            None => cells,
        };
        let policies = batch.policies.as_deref().unwrap_or(self.engine.policies());
        let kept = KeptRuns::of(self.engine, self.suite, policies, &cells);
        let images = kernels.iter().map(|it| {
            let parameters = it.parameters.iter().map(|parameter| format!(" {parameter}"));
            format!("{} {:?}{}", it.identity(), it.distribution, parameters.collect::<String>())
        });
        let images = images.collect::<Vec<_>>().join("\n");
        // A run that may end early is no whole run.
        let reuse = if batch.until_broken.is_some() { Reuse::Nothing } else { self.reuse };
        if reuse == Reuse::Kept
            && let Some(reused) = self.reused(&kept, &images)
        {
            return Ok(reused);
        }
        let contexts = contexts(&cells);
        let mut plans = match contexts.as_slice() {
            [] => self.engine.plan(kernels, policies, &cells, self.suite)?,
            contexts => {
                let wanted: BTreeSet<String> = cells.iter().map(PlannedCell::name).collect();
                self.engine.plan_under(kernels, policies, contexts, self.suite, &|library| {
                    let all = Filter::default().select(library)?.into_iter();
                    let all = all.filter(|cell| wanted.contains(&cell.name()));
                    Ok(all.map(|cell| PlannedCell { control: None, ..cell }).collect())
                })?
            }
        };
        for plan in &mut plans {
            plan.until_broken.clone_from(&batch.until_broken);
        }
        let asked = self.suite.asked(batch.filter.clone());
        let recorded = RecordedRun::of(self.engine.execute(&plans, asked, &mut |_| Ok(()))?)?;
        if reuse != Reuse::Nothing && !kept.keep(&images, &recorded)? && !self.stopped() {
            self.note("a cell did not run: the next check runs this kernel again");
        }
        Ok(recorded)
    }

    fn say(&self, text: &str) {
        self.engine.say(text);
    }

    fn note(&self, text: &str) {
        self.engine.note(text);
    }

    fn stopped(&self) -> bool {
        self.engine.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Library;

    #[test]
    fn the_built_in_suite_runs_in_no_domain_of_another_policy() {
        let library = Library::built_in().unwrap();
        let cells = Filter::default().select(&library).unwrap();
        assert!(cells.iter().any(|cell| policy::is_context(&cell.at.domain)));
        assert_eq!(contexts(&cells), Vec::<String>::new());
    }
}
