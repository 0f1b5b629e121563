//! Tries mutations that people wrote.

use super::super::args::SelfcheckArgs;
use super::super::session::Session;
use super::super::{Exit, Failure, print};
use super::tree;
use crate::engine::{Engine, EngineLab, Reuse, Suite};
use crate::plan::Filter;
use crate::selfcheck::{self, Mutation, MutationCounts, Selfcheck};
use crate::text::Text;

pub(super) fn check(args: &SelfcheckArgs) -> Result<Exit, Failure> {
    let mutations = match &args.mutations {
        Some(directory) => selfcheck::directory(directory)?,
        None => selfcheck::built_in()?,
    };
    let mutations = selfcheck::select(mutations, &args.names)?;
    if args.list {
        let line = |it: &Mutation| Text::of_line(format_args!("{}: {}", it.name, it.property));
        print(&mutations.iter().map(line).collect())?;
        return Ok(Exit::Success);
    }
    let suite = args.cases.suite(&[])?;
    // A wrong name is reported before hours of building, not after.
    selfcheck::require_cells(&mutations, &suite.select(&Filter::default())?)?;
    let session = Session::open(args.machine.boot.quiet)?;
    let engine = session.engine(args.machine.setup()?)?;
    let checked = try_all(args, &engine, &suite, &mutations);
    let counts = session.stopped(checked)?;
    print(&selfcheck::summary(counts))?;
    Ok(match counts {
        MutationCounts { unnoticed: 1.., .. } => Exit::Failed,
        MutationCounts { untried: 1.., .. } => Exit::NotJudged,
        MutationCounts { noticed: 0, .. } => Exit::NothingRan,
        _ => Exit::Success,
    })
}

/// Tries the mutations one after the other and prints the outcome of each.
fn try_all(
    args: &SelfcheckArgs,
    engine: &Engine<'_>,
    suite: &Suite,
    mutations: &[Mutation],
) -> Result<MutationCounts, Failure> {
    let spec = tree(args)?;
    let source = engine.tree(&spec)?;
    let dirty = args.machine.obtain.dirty;
    let commit = source.choose(spec.revision.as_deref(), dirty, &|text| engine.say(text))?;
    let mut lab = EngineLab::new(engine, suite, Reuse::Nothing);
    let check = Selfcheck::begin(&mut lab, &source, commit)?;
    let mut counts = MutationCounts::default();
    for (at, mutation) in mutations.iter().enumerate() {
        engine.say(&format!("mutation {} of {}: {}", at + 1, mutations.len(), mutation.name));
        let outcome = check.mutate(&mut lab, mutation)?;
        counts.add(&outcome);
        print(&selfcheck::line(mutation, &outcome, args.verbose))?;
    }
    Ok(counts)
}
