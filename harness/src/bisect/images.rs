//! Kernel images that were tested: the same image runs once.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use super::ends::unjudged;
use crate::engine::{EngineError, RecordedRun};
use crate::kbuild::BuildError;
use crate::kernel::Kernel;
use crate::plan::Filter;

/// The reason why a kernel could not be tested.
#[derive(Debug)]
pub(super) enum Untested {
    /// It does not build.
    NoBuild(BuildError),
    /// It builds, but no cell was judged.
    NoBoot(String),
}

/// The run of an image, or the reason why it cannot be tested.
pub(super) type Ran = Result<Rc<RecordedRun>, String>;

/// The run of a kernel, or the reason why it cannot be tested.
pub(super) type Tested = Result<Rc<RecordedRun>, Untested>;

/// The images that were built.
pub(super) struct Images<'a> {
    /// The cells that the user asked for.
    filter: &'a Filter,
    ran: Vec<(String, Ran)>,
    /// Kernels that were built.
    pub(super) built: usize,
}

impl<'a> Images<'a> {
    /// None yet; they will run these cells.
    pub(super) fn new(filter: &'a Filter) -> Self {
        Self { filter, ran: Vec::new(), built: 0 }
    }

    /// The number of different images.
    pub(super) fn different(&self) -> usize {
        self.ran.len()
    }

    /// Runs cells on a kernel, those with these names or all that the user asked for, unless the
    /// same image has run. `run` also tells if the user stopped it.
    pub(super) fn test(
        &mut self,
        kernel: &Kernel,
        only: Option<&BTreeSet<String>>,
        run: impl FnOnce(Filter) -> Result<(RecordedRun, bool), EngineError>,
    ) -> Result<Ran, EngineError> {
        self.built += 1;
        if let Some((_, ran)) = self.ran.iter().find(|(image, _)| image == kernel.identity()) {
            return Ok(ran.clone());
        }
        let filter = match only {
            None => self.filter.clone(),
            Some(names) => Filter { names: names.iter().cloned().collect(), ..Filter::default() },
        };
        let (ran, was_stopped) = run(filter)?;
        // A mark must not depend on cells that did not run.
        if was_stopped {
            return Err(EngineError::Interrupted);
        }
        let ran = unjudged(&ran.run).map_or(Ok(Rc::new(ran)), Err);
        self.ran.push((kernel.identity().to_owned(), ran.clone()));
        Ok(ran)
    }
}

impl fmt::Display for Untested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBuild(error) => f.write_str(&no_build(error)),
            Self::NoBoot(why) => write!(f, "cannot be tested: {why}"),
        }
    }
}

/// The words for a tree that does not build.
pub(super) fn no_build(error: &BuildError) -> String {
    match error {
        BuildError::Failed(failure) => {
            let why = failure.first.as_ref();
            let why = why.map_or_else(|| "make printed no error".to_owned(), ToString::to_string);
            format!("does not build: {why}; the log is {}", failure.log.display())
        }
        error => format!("does not build: cannot {error}"),
    }
}
