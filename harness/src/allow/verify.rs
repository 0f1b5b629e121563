//! Runs the cells of a run again under its policy with a module.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::{ModuleEffect, observed_cells, pairs};
use super::module::{Language, Module};
use crate::case::Library;
use crate::engine::{Batch, EngineError, KernelSpec, KernelSpecError, Lab};
use crate::kernel::Kernel;
use crate::plan::{Filter, PlannedCell};
use crate::policy::{self, DEFAULT_PRIORITY, Obtaining, Policy};
use crate::record::{CellResult, LaneRun, Run};
use crate::text::{Text, line};

/// The part of a run that can run again: what ran under one policy.
#[derive(Debug)]
pub struct Rerun<'a> {
    lanes: Vec<&'a LaneRun>,
    cells: Vec<PlannedCell>,
    /// Names of cells whose case has changed since.
    changed: BTreeSet<&'a str>,
}

/// The effect of a module on the cells of a run.
#[derive(Debug)]
pub struct Verification {
    /// The cells before and under the module.
    pub effect: ModuleEffect,
    /// Number of cells that did not run again, because their case has changed.
    pub changed: usize,
    /// Number of cells that have no result under the module.
    pub unseen: usize,
    /// Why a kernel could not be tested, if one could not.
    pub refused: Option<String>,
    /// The run record, as a path for display.
    pub record: String,
}

impl<'a> Rerun<'a> {
    /// The cells of a run under this policy whose cases are unchanged. `None` if there is none.
    #[must_use]
    pub fn of(run: &'a Run, policy: &str, library: &Library) -> Option<Self> {
        let lanes = run.lanes.iter().filter(|lane| lane.started.policy == policy);
        let lanes: Vec<&LaneRun> = lanes.collect();
        let (mut cells, mut changed) = (BTreeMap::new(), BTreeSet::new());
        for cell in lanes.iter().flat_map(|lane| &lane.cells) {
            match planned(cell, library) {
                Some(planned) if is_under_own_policy(&planned) => {
                    cells.entry(cell.name.as_str()).or_insert(planned);
                }
                Some(_) => {}
                None => {
                    changed.insert(cell.name.as_str());
                }
            }
        }
        let cells: Vec<_> = cells.into_values().collect();
        (!cells.is_empty()).then_some(Self { lanes, cells, changed })
    }

    /// The kernels of the run, each once.
    ///
    /// # Errors
    ///
    /// Returns an error if a kernel's name in the record does not parse.
    pub fn kernels(&self) -> Result<Vec<KernelSpec>, KernelSpecError> {
        let mut specs = Vec::new();
        for lane in &self.lanes {
            let spec = KernelSpec::again(&lane.started.kernel)?;
            if !specs.contains(&spec) {
                specs.push(spec);
            }
        }
        Ok(specs)
    }

    /// Runs the cells on these kernels under a policy with the module, and compares them with the
    /// run. If that run had other kernels or another version of the policy, the cells also run
    /// under the policy alone. `filter` is for the run record only.
    ///
    /// # Errors
    ///
    /// Returns an error if the module does not compile, or what the lab stops with.
    pub fn verify(
        &self,
        lab: &mut dyn Lab,
        kernels: &[Kernel],
        policy: &Arc<Policy>,
        module: &Module<'_>,
        filter: Filter,
        obtaining: &Obtaining<'_>,
    ) -> Result<Verification, EngineError> {
        let text = module.text(Language::Cil).plain();
        let extended = policy.with_module(module.name, &text, DEFAULT_PRIORITY, obtaining)?;
        let extended = Arc::new(extended);
        let has_run = |kernel: &Kernel| {
            self.lanes.iter().any(|lane| {
                lane.started.kernel.identity() == kernel.identity()
                    && lane.started.policy_sha256 == policy.sha256
            })
        };
        let known = kernels.iter().all(has_run);
        let policies = match known {
            true => vec![Arc::clone(&extended)],
            false => vec![Arc::clone(policy), Arc::clone(&extended)],
        };
        let (cells, policies) = (Some(self.cells.clone()), Some(policies));
        let again = lab.run(kernels, &Batch { filter, cells, policies, until_broken: None })?;
        let under = |policy: &Policy| -> Vec<&LaneRun> {
            let lanes = again.run.lanes.iter();
            lanes.filter(|lane| lane.started.policy_sha256 == policy.sha256).collect()
        };
        let after = observed_cells(under(&extended));
        let before = match known {
            true => observed_cells(self.lanes.iter().copied()),
            false => observed_cells(under(policy)),
        };
        let refused = again.run.lanes.iter().find_map(LaneRun::refused);
        let refused = refused.filter(|_| !lab.stopped());
        Ok(Verification {
            effect: ModuleEffect::measure(&pairs(&before, &after), module.rules),
            changed: self.changed.len(),
            unseen: again.run.unseen(),
            refused: refused.map(str::to_owned),
            record: again.record.display().to_string(),
        })
    }
}

impl Verification {
    /// The report.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut text = self.effect.text();
        if self.changed > 0 {
            let cells = self.changed;
            let were = if cells == 1 { "cell was" } else { "cells were" };
            line!(text, "{cells} {were} not run again: the cases have changed since");
        }
        line!(text, "run record: {}", self.record);
        if let Some(reason) = &self.refused {
            line!(text, "nothing could be tested: {reason}");
        }
        text
    }
}

/// The cell as it can run again, if its case is unchanged.
#[must_use]
pub fn planned(cell: &CellResult, library: &Library) -> Option<PlannedCell> {
    let case = library.cases.iter().find(|case| case.name == cell.case)?;
    let case = match policy::is_context(&cell.at.domain) {
        // It is planned again from the answers of the policy.
        true => case.placed_in(&cell.at.domain),
        false => case.clone(),
    };
    let same = !cell.case_sha256.is_empty() && case.sha256.starts_with(&cell.case_sha256);
    let there = case.axes.coordinates().any(|at| at == cell.at);
    // A denial may be what the module allows, so no cell waits for a control.
    (same && there).then(|| PlannedCell {
        case: Arc::new(case),
        at: cell.at.clone(),
        control: None,
        asks: Vec::new(),
    })
}

/// True if a cell loads no policy of its own.
#[must_use]
pub fn is_under_own_policy(cell: &PlannedCell) -> bool {
    cell.case.policies().next().is_none()
}
