//! `perfsec selfcheck`

use super::args::SelfcheckArgs;
use super::session::Session;
use super::{Exit, Failure};
use crate::engine::{Engine, EngineLab, KernelSpec, Reuse, Suite};
use crate::kbuild::{TreeLocation, TreeSpec};
use crate::kernel::ImageSpec;
use crate::plan::Filter;
use crate::selfcheck::{self, Mutation, MutationCounts, Selfcheck};
use crate::text::Text;

pub(super) fn selfcheck(args: &SelfcheckArgs) -> Result<Exit, Failure> {
    let mutations = match &args.mutations {
        Some(directory) => selfcheck::directory(directory)?,
        None => selfcheck::built_in()?,
    };
    let mutations = selfcheck::select(mutations, &args.names)?;
    if args.list {
        let line = |it: &Mutation| Text::of_line(format_args!("{}: {}", it.name, it.property));
        super::print(&mutations.iter().map(line).collect())?;
        return Ok(Exit::Success);
    }
    let suite = args.cases.suite(&[])?;
    // A wrong name is reported before hours of building, not after.
    selfcheck::require_cells(&mutations, &suite.select(&Filter::default())?)?;
    let session = Session::open(args.machine.boot.quiet)?;
    let engine = session.engine(args.machine.setup()?)?;
    let checked = try_all(args, &engine, &suite, &mutations);
    let counts = session.stopped(checked)?;
    super::print(&selfcheck::summary(counts))?;
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
        super::print(&selfcheck::line(mutation, &outcome, args.verbose))?;
    }
    Ok(counts)
}

/// The tree that the options name, else the source of the default kernel.
fn tree(args: &SelfcheckArgs) -> Result<TreeSpec, Failure> {
    match args.machine.kernel.as_slice() {
        [KernelSpec::Tree(tree)] => Ok(tree.clone()),
        [] => match KernelSpec::of_host()? {
            KernelSpec::Tree(tree) => Ok(tree),
            KernelSpec::Image(ImageSpec::Debian(selector)) => {
                Ok(TreeSpec { location: TreeLocation::Debian(selector), revision: None })
            }
            KernelSpec::Image(_) => Err(Failure::input("name a tree: --kernel tree:PATH")),
        },
        _ => Err(Failure::input(
            "mutations are built: name one tree, such as --kernel tree:. or tree:debian:6.1",
        )),
    }
}
