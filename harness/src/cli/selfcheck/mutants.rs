//! Tries mutants that are derived from the source.

use super::super::args::{MutantArgs, SelfcheckArgs};
use super::super::session::Session;
use super::super::{Exit, Failure, print};
use super::tree;
use crate::coverage::Points;
use crate::engine::{Engine, EngineLab, KeptRuns, Reuse, Suite};
use crate::plan::Filter;
use crate::selfcheck::mutants::{
    self, Campaign, Derived, Journal, Scope, Score, Selection, Survivors,
};
use crate::text::{Text, eprint_line};

/// A campaign as the options describe it.
struct Setting<'a> {
    args: &'a SelfcheckArgs,
    scope: Scope,
    survivors: Survivors,
    selection: Selection,
}

pub(super) fn check(args: &SelfcheckArgs) -> Result<Exit, Failure> {
    let MutantArgs { report, scope, survivors, shard, .. } = &args.mutants;
    let survivors = match survivors {
        Some(file) => Survivors::read(file)?,
        None => Survivors::built_in()?,
    };
    if let Some(file) = report {
        return conclude(&Journal::read(file)?, &survivors);
    }
    let points = Points::built_in()?;
    let scope = match scope {
        Some(file) => Scope::read(file, &points)?,
        None => Scope::built_in(&points)?,
    };
    let selection = Selection::new(&args.names, *shard)?;
    let setting = Setting { args, scope, survivors, selection };
    let session = Session::open(args.machine.boot.quiet)?;
    session.ignore_lanes();
    let engine = session.engine(args.machine.setup()?)?;
    if args.list {
        session.stopped(setting.list(&engine))?;
        return Ok(Exit::Success);
    }
    let mut journal = match (&args.mutants.out, &args.mutants.resume) {
        (Some(file), _) => Journal::create(file)?,
        (None, Some(file)) => Journal::resume(file)?,
        (None, None) => Journal::default(),
    };
    session.stopped(setting.run(&engine, &mut journal))?;
    conclude(&journal, &setting.survivors)
}

impl Setting<'_> {
    /// Lists the mutants. Without a build, the configuration is unknown, and code that it leaves out
    /// is listed, too.
    fn list(&self, engine: &Engine<'_>) -> Result<(), Failure> {
        let spec = tree(self.args)?;
        let source = engine.tree(&spec)?;
        let dirty = self.args.machine.obtain.dirty;
        let commit = source.choose(spec.revision.as_deref(), dirty, &|text| engine.say(text))?;
        let derived = Derived::of(&source, &commit, &self.scope, &Default::default())?;
        warn_of_lacking(&derived);
        let selected = derived.candidates.iter().filter(|it| self.selection.contains(it));
        print(&selected.map(mutants::listed).collect::<Text>())
    }

    fn run(&self, engine: &Engine<'_>, journal: &mut Journal) -> Result<(), Failure> {
        let suite = self.args.cases.suite(&[])?;
        let spec = tree(self.args)?;
        let source = engine.tree(&spec)?;
        let dirty = self.args.machine.obtain.dirty;
        let commit = source.choose(spec.revision.as_deref(), dirty, &|text| engine.say(text))?;
        let reuse = if self.args.mutants.again { Reuse::Replace } else { Reuse::Kept };
        let mut lab = EngineLab::new(engine, &suite, reuse);
        let (key, guests) = (suite_key(engine, &suite)?, engine.setup().jobs.max(1));
        let campaign = Campaign::begin(&mut lab, &source, commit, &self.scope, key, guests)?;
        warn_of_lacking(campaign.derived());
        let verbose = self.args.verbose;
        campaign.run(&mut lab, &self.selection, &self.survivors, journal, &mut |entry| {
            crate::text::print(&mutants::progress(entry, verbose))
        })?;
        Ok(())
    }
}

/// A hash of everything that decides how a run of the whole suite ends, besides the kernel.
fn suite_key(engine: &Engine<'_>, suite: &Suite) -> Result<String, Failure> {
    let cells = suite.select(&Filter::default())?;
    Ok(KeptRuns::of(engine, suite, engine.policies(), &cells).key(""))
}

/// Warns of code that is not mutated: releases differ, and a file of ours may be out of date.
fn warn_of_lacking(derived: &Derived) {
    for error in &derived.lacking {
        eprint_line!("not mutated: {error}");
    }
}

/// Prints the score of a record.
fn conclude(journal: &Journal, survivors: &Survivors) -> Result<Exit, Failure> {
    let scores = Score::of(&journal.entries, survivors);
    if scores.is_empty() {
        return Ok(Exit::NothingRan);
    }
    print(&mutants::report(&scores))?;
    Ok(if mutants::is_without_holes(&scores) { Exit::Success } else { Exit::Failed })
}
