//! `perfsec selfcheck`

use std::sync::Arc;

use super::args::SelfcheckArgs;
use super::session::{self, Session};
use super::{Exit, Failure};
use crate::case::Library;
use crate::kbuild::{self, Builder, Place, TreeSpec};
use crate::kernel::{ImageSpec, Kernel};
use crate::known::KnownDifferences;
use crate::obtain::{self, KernelSpec, Options};
use crate::plan::Filter;
use crate::printable::printable_line;
use crate::record::Run;
use crate::selfcheck::{self, Counts, Mutation, MutationError, Notice, Outcome};
use crate::source::{Commit, DebianWanted, Source};

pub(super) fn selfcheck(args: &SelfcheckArgs) -> Result<Exit, Failure> {
    let mutations = match &args.mutations {
        Some(directory) => selfcheck::directory(directory)?,
        None => selfcheck::built_in()?,
    };
    let mutations = selfcheck::select(mutations, &args.names)?;
    if args.list {
        let lines = mutations.iter().map(|it| format!("{}: {}\n", it.name, it.property));
        super::print(&lines.collect::<String>())?;
        return Ok(Exit::Success);
    }
    let library = session::library(&args.cases)?;
    demand_cells(&mutations, &library)?;
    let mut session = Session::open_without_kernels(&args.machine.boot)?;
    let checked = Check::begin(args, &library, &mut session).and_then(|mut check| {
        let mut counts = Counts::default();
        for (at, mutation) in mutations.iter().enumerate() {
            check.session.say(&format!(
                "mutation {} of {}: {}",
                at + 1,
                mutations.len(),
                mutation.name
            ));
            let outcome = check.try_one(mutation)?;
            counts.add(&outcome);
            super::print(&selfcheck::line(mutation, &outcome, args.verbose))?;
        }
        Ok(counts)
    });
    let counts = session.stopped(checked)?;
    super::print(&selfcheck::summary(counts))?;
    Ok(match counts {
        Counts { unnoticed: 1.., .. } => Exit::Failed,
        Counts { untried: 1.., .. } => Exit::NotJudged,
        Counts { noticed: 0, .. } => Exit::NothingRan,
        _ => Exit::Success,
    })
}

/// A mutation names cells that there are: what hours of building would only delay is said at once.
fn demand_cells(mutations: &[Mutation], library: &Library) -> Result<(), Failure> {
    let cells = Filter::default().select(library).map_err(Failure::input)?;
    for mutation in mutations {
        let named = Filter { names: mutation.cells.clone(), ..Filter::default() };
        if let Some(name) = named.unmet(&cells).map_err(Failure::input)?.first() {
            let name = printable_line(name);
            let words = format!("the mutation {}: no cell is selected by `{name}`", mutation.name);
            return Err(Failure::input(words));
        }
    }
    Ok(())
}

/// One tree, and what its unchanged kernel does.
struct Check<'a> {
    args: &'a SelfcheckArgs,
    library: &'a Library,
    session: &'a mut Session,
    known: Arc<KnownDifferences>,
    options: Options,
    source: Source,
    commit: Commit,
    base: Kernel,
    unchanged: Run,
}

impl<'a> Check<'a> {
    /// Builds the unchanged kernel and runs the whole suite on it.
    fn begin(
        args: &'a SelfcheckArgs,
        library: &'a Library,
        session: &'a mut Session,
    ) -> Result<Self, Failure> {
        let options = args.machine.obtain.options(&args.machine.boot.build, session.interrupt())?;
        let spec = tree(args)?;
        let known = Arc::new(KnownDifferences::built_in()?);
        let say = |text: &str| session.say(text);
        let source = kbuild::open(&spec, &session.cache, options.images, &options.interrupt, &say)?;
        let commit = source.choose(spec.revision.as_deref(), options.dirty, &say)?;
        let base = Builder::new(&options.recipe, &session.cache, &options.interrupt, &say)?
            .build(&source, &commit)?
            .kernel;
        let unchanged = run(args, library, session, &known, &base, &[])?;
        if let Some(why) = selfcheck::death(&unchanged) {
            let error = format!("the unchanged kernel cannot be tested: {why}");
            return Err(Failure { exit: Exit::Kernel, error: error.into() });
        }
        Ok(Self { args, library, session, known, options, source, commit, base, unchanged })
    }

    fn try_one(&mut self, mutation: &Mutation) -> Result<Outcome, Failure> {
        self.source.check_out(&self.commit)?;
        let mutated = match self.source.apply(mutation.mail.as_bytes())? {
            Ok(commit) => commit,
            Err(why) => return Ok(Outcome::DoesNotApply(why)),
        };
        let say = |text: &str| self.session.say(text);
        let Options { recipe, interrupt, .. } = &self.options;
        let built = Builder::new(recipe, &self.session.cache, interrupt, &say)?
            .build(&self.source, &mutated);
        let kernel = match built {
            Ok(built) => built.kernel,
            Err(error) => {
                let failure = error.of_commit(&mutated, mutation.subject.clone())?;
                let error =
                    failure.first.map_or(failure.log.display().to_string(), |it| it.to_string());
                return Ok(Outcome::DoesNotBuild(error));
            }
        };
        if kernel.identity() == self.base.identity() {
            return Ok(Outcome::SameKernel);
        }
        let named = self.run(&kernel, &mutation.cells)?;
        if let Some(notice) = Notice::of(&named, &self.unchanged, true) {
            return Ok(Outcome::Noticed(notice));
        }
        let all = self.run(&kernel, &[])?;
        Ok(match (Notice::of(&all, &self.unchanged, false), selfcheck::death(&all)) {
            (Some(notice), _) => Outcome::Noticed(notice),
            (None, Some(how)) => Outcome::Died(how),
            (None, None) => Outcome::Unnoticed,
        })
    }

    fn run(&mut self, kernel: &Kernel, names: &[String]) -> Result<Run, Failure> {
        run(self.args, self.library, self.session, &self.known, kernel, names)
    }
}

/// Runs these cells, or all, on a kernel.
fn run(
    args: &SelfcheckArgs,
    library: &Library,
    session: &mut Session,
    known: &Arc<KnownDifferences>,
    kernel: &Kernel,
    names: &[String],
) -> Result<Run, Failure> {
    let filter = Filter { names: names.to_vec(), ..Filter::default() };
    let cells = filter.select(library).map_err(Failure::input)?;
    session::demand(&cells)?;
    let asked = session::asked(&args.cases, filter, library);
    let run = session.run_on(kernel, &cells, known, asked)?;
    if session.interrupted().is_some() {
        return Err(Failure::host("interrupted"));
    }
    Ok(run)
}

/// The tree that is named; else the source of the kernel that is taken when none is named.
fn tree(args: &SelfcheckArgs) -> Result<TreeSpec, Failure> {
    match args.machine.kernel.as_slice() {
        [KernelSpec::Tree(tree)] => Ok(tree.clone()),
        [] => match obtain::default_spec()? {
            KernelSpec::Tree(tree) => Ok(tree),
            KernelSpec::Image(ImageSpec::DebianSuite(suite)) => {
                Ok(TreeSpec { place: Place::Debian(DebianWanted::Suite(suite)), revision: None })
            }
            KernelSpec::Image(_) => Err(Failure::input("name a tree: --kernel tree:PATH")),
        },
        _ => Err(Failure::input(
            "mutations are built: name one tree, such as --kernel tree:. or tree:debian:6.1",
        )),
    }
}

impl From<MutationError> for Failure {
    fn from(error: MutationError) -> Self {
        super::exit::cannot(Exit::Input, &error)
    }
}
