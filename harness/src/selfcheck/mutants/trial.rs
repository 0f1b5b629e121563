//! Runs mutated kernels: the part of a campaign that tries mutants.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{fs, io, slice};

use super::campaign::{Campaign, CampaignError};
use super::derive::Candidate;
use super::journal::{Entry, Journal};
use super::outcome::MutantOutcome;
use super::survivors::Survivors;
use crate::engine::{Batch, EngineError, Lab, UntilBroken};
use crate::kernel::Kernel;
use crate::plan::Filter;
use crate::record::{LaneRun, Run};

/// A part of a campaign that tries mutants.
pub(super) struct Trial<'c, 'a> {
    pub(super) campaign: &'c Campaign<'a>,
    pub(super) survivors: &'c Survivors,
    pub(super) lab: &'c mut dyn Lab,
    pub(super) journal: &'c mut Journal,
    pub(super) tell: &'c mut dyn FnMut(&Entry) -> io::Result<()>,
    /// The cells that pass without a mutant.
    pub(super) passed: Arc<BTreeSet<String>>,
    /// The cells that run the code of each switched mutant, by number.
    pub(super) reached: BTreeMap<u32, BTreeSet<String>>,
}

/// A mutant and its kernel.
pub(super) type Mutated<'c> = (&'c Candidate, Kernel);

impl Trial<'_, '_> {
    /// The cells that reach one of these mutants.
    pub(super) fn reaching(&self, mutated: &[Mutated<'_>]) -> BTreeSet<String> {
        mutated.iter().filter_map(|one| self.reaching_one(one)).flatten().cloned().collect()
    }

    /// The cells that reach a mutant; `None` if none does, or none is known to.
    pub(super) fn reaching_one(&self, (candidate, _): &Mutated<'_>) -> Option<&BTreeSet<String>> {
        self.reached.get(&candidate.number?)
    }

    /// The order of cells on mutants: those that killed most others in these functions, then those
    /// that reach one of the mutants.
    pub(super) fn ranks(&self, mutated: &[Mutated<'_>]) -> BTreeMap<String, usize> {
        let functions: BTreeSet<&str> =
            mutated.iter().map(|(candidate, _)| &*candidate.mutant.function).collect();
        let mut kills: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &self.journal.entries {
            if let MutantOutcome::Killed { cell, .. } = &entry.outcome
                && functions.contains(&*entry.function)
            {
                *kills.entry(cell).or_default() += 1;
            }
        }
        let mut killers: Vec<_> = kills.into_iter().collect();
        killers.sort_by_key(|(_, kills)| Reverse(*kills));
        let mut ranks: BTreeMap<String, usize> =
            self.reaching(mutated).into_iter().map(|name| (name, killers.len())).collect();
        let killers = killers.into_iter().enumerate();
        ranks.extend(killers.map(|(rank, (cell, _))| (cell.to_owned(), rank)));
        ranks
    }

    /// Runs cells on mutants until one fails on each. Returns the outcomes, and how long the guests
    /// took, in milliseconds. `by_area` tells that they are the cells of the mutants' area. A failure
    /// of another cell counts if the mutant causes it, and not the cells before it.
    pub(super) fn outcomes(
        &mut self,
        mutated: &[Mutated<'_>],
        filter: &Filter,
        by_area: bool,
    ) -> Result<Vec<(MutantOutcome, u64)>, CampaignError> {
        let mut outcomes = self.first_failures(mutated, filter, by_area)?;
        if by_area {
            return Ok(outcomes);
        }
        for (one, (outcome, millis)) in mutated.iter().zip(&mut outcomes) {
            while let MutantOutcome::Killed { cell, .. } = outcome
                && !self.causes(one, cell, filter)?
            {
                self.lab.note(&format!(
                    "{cell} fails without a mutant, too, after the cells that ran before it: it \
                     shows nothing"
                ));
                Arc::make_mut(&mut self.passed).remove(cell);
                for (again, took) in self.first_failures(slice::from_ref(one), filter, by_area)? {
                    (*outcome, *millis) = (again, *millis + took);
                }
            }
        }
        Ok(outcomes)
    }

    /// True if a cell fails on a mutant by itself, or passes without the mutant after the same cells.
    fn causes(
        &mut self,
        mutated: &Mutated<'_>,
        cell: &str,
        filter: &Filter,
    ) -> Result<bool, CampaignError> {
        let fails = |outcomes: &[(MutantOutcome, u64)]| {
            let killer = |outcome: &MutantOutcome| match outcome {
                MutantOutcome::Killed { cell, .. } => Some(cell.clone()),
                _ => None,
            };
            outcomes.iter().any(|(outcome, _)| killer(outcome).as_deref() == Some(cell))
        };
        let alone = Filter { names: vec![cell.to_owned()], ..Filter::default() };
        if fails(&self.first_failures(slice::from_ref(mutated), &alone, false)?) {
            return Ok(true);
        }
        let unchanged = (mutated.0, self.campaign.unchanged.clone());
        Ok(!fails(&self.first_failures(&[unchanged], filter, false)?))
    }

    /// The first failure of these cells on each mutant.
    fn first_failures(
        &mut self,
        mutated: &[Mutated<'_>],
        filter: &Filter,
        by_area: bool,
    ) -> Result<Vec<(MutantOutcome, u64)>, CampaignError> {
        let kernels: Vec<Kernel> = mutated.iter().map(|(_, kernel)| kernel.clone()).collect();
        let ranks = Arc::new(self.ranks(mutated));
        let until = UntilBroken { cells: Arc::clone(&self.passed), ranks };
        let batch = Batch { until_broken: Some(until), ..Batch::from(filter.clone()) };
        let run = self.run(&kernels, &batch)?;
        let outcomes = kernels.iter().map(|kernel| {
            let own = |lane: &&LaneRun| lane.started.kernel.boots_like(kernel);
            let lanes: Vec<&LaneRun> = run.lanes.iter().filter(own).collect();
            let millis = lanes.iter().filter_map(|lane| Some(lane.end.as_ref()?.millis)).sum();
            (MutantOutcome::of(&lanes, &self.passed, by_area), millis)
        });
        Ok(outcomes.collect())
    }

    /// Runs cells. The record is not kept: there are hundreds of them.
    pub(super) fn run(&mut self, kernels: &[Kernel], batch: &Batch) -> Result<Run, CampaignError> {
        let recorded = self.lab.run(kernels, batch)?;
        if self.lab.stopped() {
            return Err(EngineError::Interrupted.into());
        }
        if batch.until_broken.is_some() {
            // One that stays behind costs room only.
            let _ = fs::remove_file(&recorded.record);
        }
        Ok(recorded.run)
    }

    /// Builds a mutant without the others. Returns its outcome if it does not compile or changes
    /// nothing.
    pub(super) fn build_alone(
        &mut self,
        candidate: &Candidate,
    ) -> Result<Result<Kernel, MutantOutcome>, CampaignError> {
        let Campaign { source, commit, derived, unchanged, .. } = self.campaign;
        let mutant = &candidate.mutant;
        let text = derived.texts.get(&mutant.file).map_or("", String::as_str);
        let (text, subject) = (mutant.apply(text), format!("perfsec: {}", mutant.name()));
        let mutated = source.commit_files(commit, &[(&mutant.file, &text)], &subject)?;
        Ok(match self.lab.build(source, &mutated) {
            Ok(built) if built.kernel.identity() == unchanged.identity() => {
                Err(MutantOutcome::Identical)
            }
            Ok(built) => Ok(built.kernel),
            Err(error) => {
                let failure = error.into_build_failure(&mutated, subject);
                let failure = failure.map_err(EngineError::from)?;
                let log = failure.log.display().to_string();
                let error = failure.first.map_or(log, |error| error.to_string());
                Err(MutantOutcome::DoesNotCompile { error })
            }
        })
    }

    /// Records an outcome, and tells it.
    pub(super) fn record(
        &mut self,
        candidate: &Candidate,
        mut outcome: MutantOutcome,
        millis: u64,
    ) -> Result<(), CampaignError> {
        if let (None, MutantOutcome::Survived { differs, .. }) = (candidate.number, &mut outcome) {
            *differs = true;
        }
        let entry = self.campaign.entry(candidate, outcome, millis);
        self.journal.add(entry.clone())?;
        (self.tell)(&entry).map_err(CampaignError::Print)
    }
}
