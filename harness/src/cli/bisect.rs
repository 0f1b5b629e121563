//! `perfsec bisect`

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::args::{BisectArgs, BisectCommand, BisectFormat};
use super::destination::{self, Destination};
use super::exit::cannot;
use super::session::{self, Session};
use super::{Exit, Failure, bisect_step, mail, output};
use crate::bisect::{self, BisectError, CommitWords, Found, Lab, Outcome, Ran, Revision};
use crate::case::Library;
use crate::kbuild::{BuildError, Builder, Recipe};
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::plan::{Filter, PlannedCell};
use crate::report::mail::{Letter, Regzbot};
use crate::source::{Commit, Source};

pub(super) fn bisect(args: &BisectArgs) -> Result<Exit, Failure> {
    if let Some(BisectCommand::Step(args)) = &args.command {
        return bisect_step::step(args);
    }
    let (Some(good), Some(bad)) = (&args.good, &args.bad) else {
        return Err(Failure::input("--good and --bad name the ends"));
    };
    // What hours of building would only delay is said at once.
    let letter = letter(args)?;
    let library = session::library(&args.cases)?;
    let known = Arc::new(KnownDifferences::read(&args.known, &library)?);
    let filter = args.filter.filter();
    let cells = session::select(&filter, &library)?;
    let recipe = args.boot.build.recipe()?;
    let inputs = args.known.iter().chain(&args.mail.reply_to_mbox).map(|path| path.as_path());
    let inputs: Vec<&Path> = inputs.chain(output::named(&args.boot)).collect();
    output::distinct(&inputs, &args.out.as_deref().into_iter().collect::<Vec<_>>())?;
    let out = Destination::optional(args.out.as_deref())?;
    let mut session = Session::open_without_kernels(&args.boot)?;
    // What a case says of a commit is not asked here.
    session.ignore_verdicts();
    let found = {
        let session = &mut session;
        let source = open(args, session);
        source.and_then(|source| {
            let good = revision(&source, good)?;
            let bad = revision(&source, bad)?;
            let source = &source;
            let mut lab =
                Kernels { args, session, source, recipe, known, library: &library, filter, cells };
            bisect::bisect(&mut lab, source, good, bad)
        })
    };
    let outcome = session.stopped(found)?;
    let text = match (letter, args.format) {
        (Some(letter), _) => write(letter, &outcome)?,
        (None, BisectFormat::Text) => bisect::text(&outcome),
        (None, BisectFormat::Json) => {
            serde_json::to_string_pretty(&outcome).map_err(Failure::host)? + "\n"
        }
    };
    destination::write(out, &text)?;
    Ok(match outcome.found {
        Found::First { .. } => Exit::Success,
        Found::Skipped { .. } => Exit::Failed,
    })
}

fn open(args: &BisectArgs, session: &Session) -> Result<Source, Failure> {
    let say = |text: &str| session.say(text);
    let name = args.tree.display().to_string();
    Ok(Source::open(&args.tree, &name, &session.cache, session.interrupt(), &say)?)
}

fn revision(source: &Source, named: &str) -> Result<Revision, Failure> {
    let commit = source.resolve(Some(named), false)?;
    Ok(Revision { named: named.to_owned(), words: CommitWords::of(source, &commit)? })
}

/// The message, if one is asked for.
fn letter(args: &BisectArgs) -> Result<Option<Letter>, Failure> {
    if !args.mail.mail {
        return Ok(None);
    }
    mail::letter(&args.mail, args.from.as_ref(), None).map(Some)
}

/// The message about what was found.
fn write(letter: Letter, outcome: &Outcome) -> Result<String, Failure> {
    let introduced = format!("introduced={}", outcome.introduced());
    let regzbot = Regzbot::parse(&[introduced]).map_err(Failure::input)?;
    Ok(Letter { regzbot, ..letter }.write_bisection(outcome))
}

/// Builds the commits of a tree, and boots what comes out.
struct Kernels<'a> {
    args: &'a BisectArgs,
    session: &'a mut Session,
    source: &'a Source,
    recipe: Recipe,
    known: Arc<KnownDifferences>,
    library: &'a Library,
    filter: Filter,
    cells: Vec<PlannedCell>,
}

impl Lab for Kernels<'_> {
    type Error = Failure;

    fn build(&mut self, commit: &Commit) -> Result<Result<Kernel, BuildError>, Failure> {
        let session = &*self.session;
        let say = |text: &str| session.say(text);
        let builder = Builder::new(&self.recipe, &session.cache, session.interrupt(), &say)?;
        match builder.build(self.source, commit) {
            Ok(built) => Ok(Ok(built.kernel)),
            Err(error) if error.is_commits_fault() => Ok(Err(error)),
            Err(error) => Err(error.into()),
        }
    }

    fn run(&mut self, kernel: &Kernel, only: Option<&BTreeSet<String>>) -> Result<Ran, Failure> {
        let (filter, cells) = match only {
            None => (self.filter.clone(), self.cells.clone()),
            Some(names) => {
                let names = names.iter().cloned().collect();
                let filter = Filter { names, ..Filter::default() };
                let cells = filter.select(self.library).map_err(Failure::input)?;
                (filter, cells)
            }
        };
        let asked = session::asked(&self.args.cases, filter, self.library);
        let run = self.session.run_on(kernel, &cells, &self.known, asked)?;
        match self.session.interrupted() {
            Some(exit) => {
                Err(Failure { exit, error: "interrupted: what was built is kept".into() })
            }
            None => Ok(Ran { run, record: self.session.record.clone() }),
        }
    }

    fn say(&self, text: &str) {
        self.session.note(text);
    }
}

impl From<BisectError> for Failure {
    fn from(error: BisectError) -> Self {
        let exit = match error {
            BisectError::Source(error) => return error.into(),
            BisectError::Build { ref source, .. } => match **source {
                BuildError::Failed(_) => Exit::Build,
                _ => Exit::Input,
            },
            BisectError::Boot { .. } => Exit::Kernel,
            BisectError::OneCommit(_)
            | BisectError::Backwards { .. }
            | BisectError::Apart { .. }
            | BisectError::Same(_)
            | BisectError::BadBase(_)
            | BisectError::NothingInCommon(_) => Exit::Input,
        };
        cannot(exit, &error)
    }
}
