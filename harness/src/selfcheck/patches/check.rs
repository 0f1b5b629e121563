//! Tries mutations on a tree.

use std::slice;

use super::mutation::Mutation;
use super::outcome::{MutationOutcome, Notice, death};
use crate::engine::{EngineError, Lab};
use crate::kernel::Kernel;
use crate::plan::{Filter, PlannedCell};
use crate::record::Run;
use crate::source::{Commit, Source};

/// Why mutations cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum SelfcheckError {
    /// A mutation names a cell that does not exist.
    #[error("use the mutation {mutation}: no cell is selected by `{name}`")]
    Cell {
        /// The mutation.
        mutation: String,
        /// The name.
        name: String,
    },
    /// The unchanged kernel dies or lacks something.
    #[error("test the unchanged kernel: {0}")]
    Unchanged(String),
    /// The engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A tree, and what the whole suite sees on its unchanged kernel.
#[derive(Debug)]
pub struct Selfcheck<'a> {
    source: &'a Source,
    commit: Commit,
    kernel: Kernel,
    unchanged: Run,
}

/// Requires every cell that a mutation names to be one of `cells`.
///
/// # Errors
///
/// Returns an error for the first name that selects no cell.
pub fn require_cells(mutations: &[Mutation], cells: &[PlannedCell]) -> Result<(), SelfcheckError> {
    for mutation in mutations {
        let named = Filter { names: mutation.cells.clone(), ..Filter::default() };
        let unmet = named.unmatched_names(cells).map_err(EngineError::from)?;
        if let Some(name) = unmet.first() {
            let (mutation, name) = (mutation.name.clone(), (*name).to_owned());
            return Err(SelfcheckError::Cell { mutation, name });
        }
    }
    Ok(())
}

impl<'a> Selfcheck<'a> {
    /// Builds the unchanged kernel of a commit and runs the whole suite on it.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not build or cannot be tested.
    pub fn begin(
        lab: &mut dyn Lab,
        source: &'a Source,
        commit: Commit,
    ) -> Result<Self, SelfcheckError> {
        let kernel = lab.build(source, &commit).map_err(EngineError::from)?.kernel;
        let unchanged = run(lab, &kernel, &[])?;
        match death(&unchanged) {
            Some(why) => Err(SelfcheckError::Unchanged(why)),
            None => Ok(Self { source, commit, kernel, unchanged }),
        }
    }

    /// Applies a mutation, builds the kernel and runs the cells that must notice it, and then, if
    /// none does, the whole suite.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than the mutation is to blame.
    pub fn mutate(
        &self,
        lab: &mut dyn Lab,
        mutation: &Mutation,
    ) -> Result<MutationOutcome, SelfcheckError> {
        self.source.check_out(&self.commit).map_err(EngineError::from)?;
        let applied = self.source.apply(mutation.mail.as_bytes()).map_err(EngineError::from)?;
        let mutated = match applied {
            Ok(commit) => commit,
            Err(why) => return Ok(MutationOutcome::DoesNotApply(why)),
        };
        let kernel = match lab.build(self.source, &mutated) {
            Ok(built) => built.kernel,
            Err(error) => {
                let failure = error.into_build_failure(&mutated, mutation.subject.clone());
                let failure = failure.map_err(EngineError::from)?;
                let error =
                    failure.first.map_or(failure.log.display().to_string(), |it| it.to_string());
                return Ok(MutationOutcome::DoesNotBuild(error));
            }
        };
        if kernel.identity() == self.kernel.identity() {
            return Ok(MutationOutcome::SameKernel);
        }
        let named = run(lab, &kernel, &mutation.cells)?;
        if let Some(notice) = Notice::of(&named, &self.unchanged, true) {
            return Ok(MutationOutcome::Noticed(notice));
        }
        let all = run(lab, &kernel, &[])?;
        Ok(match (Notice::of(&all, &self.unchanged, false), death(&all)) {
            (Some(notice), _) => MutationOutcome::Noticed(notice),
            (None, Some(how)) => MutationOutcome::Died(how),
            (None, None) => MutationOutcome::Unnoticed,
        })
    }
}

/// Runs the cells with these names, or all if there are none.
fn run(lab: &mut dyn Lab, kernel: &Kernel, names: &[String]) -> Result<Run, EngineError> {
    let filter = Filter { names: names.to_vec(), ..Filter::default() };
    let recorded = lab.run(slice::from_ref(kernel), &filter.into())?;
    if lab.stopped() { Err(EngineError::Interrupted) } else { Ok(recorded.run) }
}
