//! Tries mutants of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{io, slice};

use perfsec_mutate::Config;

use super::super::cells::passed;
use super::derive::{Candidate, Derived, Selection};
use super::journal::{Entry, Journal, JournalError};
use super::outcome::{MutantOutcome, useless};
use super::scope::{Area, Scope};
use super::survivors::Survivors;
use super::switched::{SwitchedKernel, reached};
use super::trial::{Mutated, Trial};
use crate::counted::counted;
use crate::engine::{Batch, EngineError, Lab};
use crate::kernel::Kernel;
use crate::plan::{CellNames, Filter};
use crate::source::{Commit, Source, SourceError};

/// Mutants of one run, per guest: enough that no guest waits long for a last one that hangs, and few
/// enough that little is lost when a campaign is killed.
const ROUNDS: usize = 12;

/// Cells without a mutant that are named because they do not pass.
const NAMED: usize = 10;

/// Why mutants cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The kernel without a mutant dies or lacks something.
    #[error("test the kernel without a mutant: {0} (--again runs it again)")]
    Unmutated(String),
    /// A name selects no mutant.
    #[error("find a mutant {0}: --list lists them")]
    Unknown(String),
    /// The record cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The progress cannot be printed.
    #[error("print")]
    Print(#[source] io::Error),
    /// The engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<SourceError> for CampaignError {
    fn from(error: SourceError) -> Self {
        Self::Engine(error.into())
    }
}

/// A tree and its mutants.
#[derive(Debug)]
pub struct Campaign<'a> {
    pub(super) source: &'a Source,
    pub(super) commit: Commit,
    scope: &'a Scope,
    pub(super) derived: Derived,
    /// The kernel of the unchanged source.
    pub(super) unchanged: Kernel,
    /// The ID of the unchanged git tree.
    tree: String,
    /// A hash of everything that decides how a run ends, besides the kernel.
    suite: String,
    /// The number of guests that run at a time.
    guests: usize,
}

impl<'a> Campaign<'a> {
    /// Builds the kernel of a commit, and derives the mutants of the code that it compiles. `suite`
    /// identifies everything else that decides how a run ends.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not build.
    pub fn begin(
        lab: &mut dyn Lab,
        source: &'a Source,
        commit: Commit,
        scope: &'a Scope,
        suite: String,
        guests: usize,
    ) -> Result<Self, CampaignError> {
        let built = lab.build(source, &commit).map_err(EngineError::from)?;
        let unchanged = built.kernel;
        let derived = Derived::of(source, &commit, scope, &config(&unchanged))?;
        let tree = source.tree(&commit)?;
        Ok(Self { source, commit, scope, derived, unchanged, tree, suite, guests })
    }

    /// The mutants.
    #[must_use]
    pub fn derived(&self) -> &Derived {
        &self.derived
    }

    /// Tries the selected mutants that the record lacks. `tell` gets each outcome after it was
    /// recorded; a survivor that is built alone has two.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than a mutant is to blame.
    pub fn run(
        &self,
        lab: &mut dyn Lab,
        selection: &Selection,
        survivors: &Survivors,
        journal: &mut Journal,
        tell: &mut dyn FnMut(&Entry) -> io::Result<()>,
    ) -> Result<(), CampaignError> {
        if let Some(name) = selection.unmatched(&self.derived.candidates) {
            return Err(CampaignError::Unknown(name.to_owned()));
        }
        let selected = self.derived.candidates.iter().filter(|it| selection.contains(it));
        let selected: Vec<&Candidate> = selected.collect();
        let (switched, alone): (Vec<&Candidate>, Vec<&Candidate>) = selected
            .iter()
            .filter(|it| self.find(journal, it).is_none())
            .partition(|it| it.number.is_some());
        let (passed, reached) = (Arc::default(), BTreeMap::new());
        let mut trial = Trial { campaign: self, survivors, lab, journal, tell, passed, reached };
        if !switched.is_empty() {
            let kernel = trial.switched_kernel()?;
            trial.survey(&kernel.surveyed())?;
            trial.try_switched(&kernel, &switched)?;
        } else if !alone.is_empty() {
            trial.survey(&self.unchanged)?;
        }
        trial.try_alone(&alone)?;
        trial.compare_survivors(&selected)
    }

    fn find<'j>(&self, journal: &'j Journal, candidate: &Candidate) -> Option<&'j Entry> {
        journal.find(&self.tree, &self.suite, &candidate.key)
    }

    pub(super) fn entry(
        &self,
        candidate: &Candidate,
        outcome: MutantOutcome,
        millis: u64,
    ) -> Entry {
        let mutant = &candidate.mutant;
        let patch = outcome.is_survivor().then(|| self.derived.patch(mutant));
        Entry {
            format: Entry::FORMAT,
            tree: self.tree.clone(),
            kernel: format!("Linux {} of {}", self.unchanged.version, self.source.name()),
            version: self.unchanged.version,
            suite: self.suite.clone(),
            key: candidate.key.clone(),
            name: mutant.name(),
            file: mutant.file.clone(),
            function: mutant.function.clone(),
            line: mutant.line,
            operator: mutant.operator,
            before: mutant.before.clone(),
            after: mutant.after.clone(),
            nth: candidate.nth,
            outcome,
            patch,
            millis,
        }
    }
}

impl Trial<'_, '_> {
    /// Builds the switched kernel, and records all mutants that do not compile, so that the next
    /// campaign leaves them out from the start.
    fn switched_kernel(&mut self) -> Result<SwitchedKernel, CampaignError> {
        let campaign = self.campaign;
        let Campaign { source, commit, derived, .. } = campaign;
        let broken = derived.candidates.iter().filter_map(|candidate| {
            match &campaign.find(self.journal, candidate)?.outcome {
                MutantOutcome::DoesNotCompile { error } => Some((candidate.number?, error.clone())),
                _ => None,
            }
        });
        let known: BTreeMap<u32, String> = broken.collect();
        let switched = SwitchedKernel::build(self.lab, source, commit, derived, known.clone())?;
        for candidate in &derived.candidates {
            let Some(number) = candidate.number.filter(|number| !known.contains_key(number)) else {
                continue;
            };
            if let Some(error) = switched.broken.get(&number) {
                let outcome = MutantOutcome::DoesNotCompile { error: error.clone() };
                self.record(candidate, outcome, 0)?;
            }
        }
        Ok(switched)
    }

    /// Runs the suite without a mutant, and notes the cells that pass and the mutants they reach.
    fn survey(&mut self, kernel: &Kernel) -> Result<(), CampaignError> {
        self.lab.say("running the suite without a mutant");
        let run = self.run(slice::from_ref(kernel), &Batch::default())?;
        let died = run.lanes.iter().find_map(super::outcome::death);
        if let Some(cause) = died {
            return Err(CampaignError::Unmutated(cause));
        }
        let useless = useless(&run);
        if !useless.is_empty() {
            let named: Vec<&str> = useless.iter().take(NAMED).map(String::as_str).collect();
            let (count, named) = (counted(useless.len(), "cell"), named.join(", "));
            self.lab
                .note(&format!("left out, as they do not pass without a mutant: {count}: {named}"));
        }
        (self.passed, self.reached) = (Arc::new(passed(&run)), reached(&run));
        Ok(())
    }

    /// Tries switched mutants: the cells of each area first, then those that reach the mutant. One
    /// that somebody judged runs a cell of each case, which is enough to doubt the judgement.
    fn try_switched(
        &mut self,
        switched: &SwitchedKernel,
        candidates: &[&Candidate],
    ) -> Result<(), CampaignError> {
        for (index, area) in self.campaign.scope.areas.iter().enumerate() {
            let of_area = candidates.iter().filter(|it| it.area == index);
            let mutated = of_area.filter_map(|candidate| {
                let number = candidate.number.filter(|it| !switched.broken.contains_key(it))?;
                Some((*candidate, switched.with(number)))
            });
            let (judged, open): (Vec<Mutated<'_>>, Vec<_>) =
                mutated.partition(|(candidate, _)| self.is_judged(candidate));
            if !judged.is_empty() || !open.is_empty() {
                let mutants = counted(open.len() + judged.len(), "mutant");
                self.lab.say(&format!("{}: running its cells on {mutants}", area.name));
            }
            for some in judged.chunks(ROUNDS * self.campaign.guests) {
                let cells = self.one_of_each_case(&self.cells_of_area(some, area)?)?;
                for (one, outcome, millis) in self.try_area(some, &cells)? {
                    self.record(one.0, outcome, millis)?;
                }
            }
            for some in open.chunks(ROUNDS * self.campaign.guests) {
                let cells = self.cells_of_area(some, area)?;
                let left: Vec<Mutated<'_>> =
                    self.try_area(some, &cells)?.into_iter().map(|(one, ..)| one).collect();
                self.try_reaching(&left, area)?;
            }
        }
        Ok(())
    }

    /// True if there is a reason why no cell notices the mutant.
    fn is_judged(&self, candidate: &Candidate) -> bool {
        let survivor = self.campaign.entry(candidate, MutantOutcome::unreached(), 0);
        self.survivors.find(&survivor).is_some()
    }

    /// A cell of each case, of the cells that pass and that these globs select.
    fn one_of_each_case(&self, globs: &[String]) -> Result<Vec<String>, CampaignError> {
        let globs = CellNames::parse(globs).map_err(EngineError::from)?;
        let mut cases = BTreeSet::new();
        let selected = self.passed.iter().filter(|name| globs.contains(name));
        let firsts = selected.filter(|name| cases.insert(case_of(name)));
        Ok(firsts.cloned().collect())
    }

    /// The cells of an area that reach one of these mutants; all of them if one seems to be reached
    /// by none, for it may be reached before the first cell.
    fn cells_of_area(
        &self,
        mutated: &[Mutated<'_>],
        area: &Area,
    ) -> Result<Vec<String>, CampaignError> {
        let of_area = CellNames::parse(&area.cells).map_err(EngineError::from)?;
        let mut cells = BTreeSet::new();
        for one in mutated {
            let Some(reaching) = self.reaching_one(one) else { return Ok(area.cells.clone()) };
            cells.extend(reaching.iter().filter(|name| of_area.contains(name)).cloned());
        }
        let named = if cells.is_empty() { area.cells.clone() } else { cells.into_iter().collect() };
        Ok(named)
    }

    /// Runs the cells that reach switched mutants, without those of their area, which did not notice
    /// them.
    fn try_reaching(&mut self, mutated: &[Mutated<'_>], area: &Area) -> Result<(), CampaignError> {
        let of_area = CellNames::parse(&area.cells).map_err(EngineError::from)?;
        let names = self.reaching(mutated).into_iter().filter(|name| !of_area.contains(name));
        let names: Vec<String> = names.collect();
        let outcomes = if names.is_empty() {
            vec![(MutantOutcome::unreached(), 0); mutated.len()]
        } else {
            let (mutants, reaching) = (counted(mutated.len(), "mutant"), names.len());
            self.lab.say(&format!("{}: {reaching} other cells on {mutants}", area.name));
            self.outcomes(mutated, &Filter { names, ..Filter::default() }, false)?
        };
        for (one, (outcome, millis)) in mutated.iter().zip(outcomes) {
            let reached_by = self.reaching_one(one).map_or(0, BTreeSet::len);
            self.record(one.0, outcome.reached_by(reached_by), millis)?;
        }
        Ok(())
    }

    /// Runs the cells of an area on mutants, and returns those that survive.
    fn try_area<'c>(
        &mut self,
        mutated: &[Mutated<'c>],
        cells: &[String],
    ) -> Result<Vec<(Mutated<'c>, MutantOutcome, u64)>, CampaignError> {
        let filter = Filter { names: cells.to_vec(), ..Filter::default() };
        let mut left = Vec::new();
        let outcomes = self.outcomes(mutated, &filter, true)?;
        for (one, (mut outcome, mut millis)) in mutated.iter().zip(outcomes) {
            // A death counts if it happens again: the host may have been slow.
            if matches!(outcome, MutantOutcome::Died { .. }) {
                for (again, took) in self.outcomes(slice::from_ref(one), &filter, true)? {
                    (outcome, millis) = (again, millis + took);
                }
            }
            if outcome.is_survivor() {
                left.push((one.clone(), outcome, millis));
            } else {
                self.record(one.0, outcome, millis)?;
            }
        }
        Ok(left)
    }

    /// Runs all cells on a mutant that was built alone.
    fn try_suite(&mut self, mutated: &Mutated<'_>) -> Result<(), CampaignError> {
        for (outcome, millis) in
            self.outcomes(slice::from_ref(mutated), &Filter::default(), false)?
        {
            self.record(mutated.0, outcome, millis)?;
        }
        Ok(())
    }

    /// Builds and tries the mutants that cannot be switched.
    fn try_alone(&mut self, candidates: &[&Candidate]) -> Result<(), CampaignError> {
        for candidate in in_order_of_files(candidates) {
            let kernel = match self.build_alone(candidate)? {
                Ok(kernel) => kernel,
                Err(outcome) => {
                    self.record(candidate, outcome, 0)?;
                    continue;
                }
            };
            let cells = &self.campaign.scope.areas[candidate.area].cells;
            for (one, ..) in self.try_area(&[(candidate, kernel)], cells)? {
                self.try_suite(&one)?;
            }
        }
        Ok(())
    }

    /// Builds the survivors that nobody judged, each alone: the image of some is the unchanged one.
    fn compare_survivors(&mut self, candidates: &[&Candidate]) -> Result<(), CampaignError> {
        for candidate in in_order_of_files(candidates) {
            let Some(entry) = self.campaign.find(self.journal, candidate) else { continue };
            let outcome = match entry.outcome.clone() {
                MutantOutcome::Survived { reached_by, unjudged, differs: false } => {
                    MutantOutcome::Survived { reached_by, unjudged, differs: true }
                }
                _ => continue,
            };
            if self.survivors.find(entry).is_some() {
                continue;
            }
            self.lab.say(&format!("comparing the image of {}", entry.name));
            let millis = entry.millis;
            let outcome = self.build_alone(candidate)?.map_or_else(|other| other, |_| outcome);
            self.record(candidate, outcome, millis)?;
        }
        Ok(())
    }
}

/// The configuration that decides which code is compiled.
fn config(kernel: &Kernel) -> Config {
    let options = kernel.config.iter().flat_map(|config| config.options());
    let lines = options.map(|(name, value)| format!("{name}={value}\n"));
    Config::parse(&lines.collect::<String>())
}

/// The case of a cell: its name without domain, level, grant and mode.
fn case_of(cell: &str) -> Option<&str> {
    cell.rsplitn(5, '/').nth(4)
}

/// Mutants by file, so that `make` has one file to undo and to compile for the next one.
fn in_order_of_files<'c>(candidates: &[&'c Candidate]) -> Vec<&'c Candidate> {
    let mut sorted = candidates.to_vec();
    sorted.sort_by_key(|it| (it.mutant.file.clone(), it.mutant.line));
    sorted
}
