//! `perfsec run --baseline`: judges a run against an earlier one, too.

use std::path::{Path, PathBuf};

use super::{Exit, Failure, record};
use crate::compare::{Baseline, BaselineError};
use crate::engine::LanePlan;
use crate::plan::PlannedCell;
use crate::record::Run;
use crate::text::Text;

/// The baseline that the command line names. It is read before anything boots.
pub(super) struct NamedBaseline {
    path: PathBuf,
    run: Run,
}

impl NamedBaseline {
    /// Reads the run record.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let given = Self { path: path.to_owned(), run: record::read(path)? };
        given.baseline()?;
        Ok(given)
    }

    fn baseline(&self) -> Result<Baseline<'_>, BaselineError> {
        Baseline::new(&self.run, &self.path.display().to_string())
    }

    /// Requires a partner in the baseline for each kernel, and a common cell.
    pub(super) fn check(&self, plans: &[LanePlan]) -> Result<(), Failure> {
        let baseline = self.baseline()?;
        let mut common = 0;
        for plan in plans {
            let names = plan.cells.iter().map(PlannedCell::name);
            common +=
                baseline.count_known(&plan.kernel, &plan.policies.own.name, plan.boot, names)?;
        }
        if common == 0 { Err(baseline.nothing_in_common().into()) } else { Ok(()) }
    }

    /// The report on the cells that changed since, and the exit code; `otherwise` is that of a run
    /// without a baseline.
    pub(super) fn judge(&self, run: &Run, otherwise: Exit) -> Result<(Text, Exit), Failure> {
        let since = self.baseline()?.since(run)?;
        let text = since.iter().map(|since| since.text()).collect::<Text>();
        let any = |count: fn(&crate::compare::BaselineComparison<'_>) -> usize| {
            since.iter().any(|it| count(it) > 0)
        };
        let exit = match otherwise {
            Exit::Signal(_) | Exit::NothingRan => otherwise,
            _ if any(|since| since.failures()) => Exit::Failed,
            Exit::Kernel => Exit::Kernel,
            _ if any(|since| since.worse()) => Exit::Failed,
            Exit::NotJudged if run.unseen() > 0 => Exit::NotJudged,
            _ => Exit::Success,
        };
        Ok((text, exit))
    }
}
