//! `perfsec series`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{SeriesArgs, SeriesFormat};
use super::destination::{self, Destination};
use super::exit::cannot;
use super::session::{self, Session};
use super::{Exit, Failure, mail, output};
use crate::case::{Case, Library};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::kbuild::{self, BuildError, Builder, Place};
use crate::kernel::{Kernel, hash};
use crate::known::KnownDifferences;
use crate::obtain::Options;
use crate::plan::PlannedCell;
use crate::printable::printable_line;
use crate::record::RunStarted;
use crate::report::mail::{Letter, Original, series_text};
use crate::series::{
    Check, ExpectError, Expectations, Given, Lab, Outcome, Problem, Recorded, Series, SeriesError,
    Terms,
};
use crate::source::{Commit, Source, SourceError};

pub(super) fn series(args: &SeriesArgs) -> Result<Exit, Failure> {
    let library = session::library(&args.cases)?;
    let filter = args.filter.filter();
    let cells = session::select(&filter, &library)?;
    let given = Given::parse(&args.series)?;
    keep_inputs(args, &given)?;
    let series = match &given {
        Given::Mailbox(path) => Some(Series::of_mailbox(path)?),
        Given::Directory(path) => Some(Series::of_directory(path)?),
        Given::Range { .. } => None,
    };
    // What hours of building would only delay is said at once.
    let suite = suite(&library);
    series.iter().try_for_each(|series| meant(args, series, &suite).map(drop))?;
    let letter = letter(args, series.as_ref())?;
    let out = Destination::optional(args.out.as_deref())?;
    let mut session = Session::open_without_kernels(&args.boot)?;
    // A kernel is compared with another, not with what the cases expect.
    session.ignore_verdicts();
    let checked = check(args, &given, series, (&library, &suite, cells), &mut session);
    let outcome = session.stopped(checked)?;
    let text = render(args, &outcome, letter.as_ref())?;
    destination::write(out, &text)?;
    Ok(session.interrupted().unwrap_or_else(|| ended(&outcome)))
}

/// The report must not go where something is read.
fn keep_inputs(args: &SeriesArgs, given: &Given) -> Result<(), Failure> {
    let files = given.files()?;
    let tree = match &args.tree.place {
        Place::Path(path) => Some(path),
        Place::Debian(_) => None,
    };
    let named = args.expect.iter().chain(&args.mail.reply_to_mbox).chain(tree).chain(&files);
    let inputs: Vec<&Path> = named.map(PathBuf::as_path).chain(output::named(&args.boot)).collect();
    output::distinct(&inputs, &args.out.as_deref().into_iter().collect::<Vec<_>>())
}

/// The names of all cells.
fn suite(library: &Library) -> Vec<String> {
    let of =
        |case: &Case| case.axes.coordinates().map(|at| case.cell_name(&at)).collect::<Vec<_>>();
    library.cases.iter().flat_map(of).collect()
}

/// The changes that are meant.
fn meant(args: &SeriesArgs, series: &Series, suite: &[String]) -> Result<Expectations, Failure> {
    Ok(match &args.expect {
        Some(path) => Expectations::file(path, &series.patches, suite)?,
        None => Expectations::default(),
    })
}

/// The message, if one is asked for; it answers the series.
fn letter(args: &SeriesArgs, series: Option<&Series>) -> Result<Option<Letter>, Failure> {
    if !args.mail.mail {
        return Ok(None);
    }
    let answered = series.and_then(Series::answered).and_then(Original::parse);
    mail::letter(&args.mail, args.from.as_ref(), answered).map(Some)
}

fn check(
    args: &SeriesArgs,
    given: &Given,
    series: Option<Series>,
    (library, suite, cells): (&Library, &[String], Vec<PlannedCell>),
    session: &mut Session,
) -> Result<Outcome, Failure> {
    let options = args.obtain.options(&args.boot.build, session.interrupt())?;
    let say = |text: &str| session.say(text);
    let source =
        kbuild::open(&args.tree, &session.cache, options.images, &options.interrupt, &say)?;
    let series = match (series, given) {
        (Some(series), _) => series,
        (None, Given::Range { from, to }) => range(args, &source, session, from, to)?,
        (None, _) => return Err(Failure::input("no series")),
    };
    series.notes.iter().for_each(|note| session.say(&format!("note: {note}")));
    let (named, base) = base(args, given, &series, &source, &say)?;
    let meant = meant(args, &series, suite)?;
    let terms = terms(args, library, &cells, session);
    let asked = session::asked(&args.cases, args.filter.filter(), library);
    let run = RunStarted::now(cells.len() * session.ready.machine.policies.len(), asked);
    let known = Arc::new(KnownDifferences::built_in()?);
    let mut lab =
        Bench { args, library, cells, known, terms, options, base: base.clone(), session };
    Check { source: &source, base, named, run, series: &series, meant, suite }.run(&mut lab)
}

/// The patches of a range of revisions.
fn range(
    args: &SeriesArgs,
    source: &Source,
    session: &Session,
    from: &str,
    to: &str,
) -> Result<Series, Failure> {
    let (first, last) = (source.resolve(Some(from), false)?, source.resolve(Some(to), false)?);
    let range = format!("{first}..{last}");
    let git = |words: &[&str]| source.git().ask(words).map_err(SourceError::from);
    if git(&["rev-list", "--count", &range])? == "0" {
        let hint = match git(&["rev-list", "--count", &format!("{last}..{first}")])?.as_str() {
            "0" => String::new(),
            _ => format!(": {to} is before {from}, so that {to}..{from} may be meant"),
        };
        let range = printable_line(&args.series);
        return Err(SeriesError::NoCommit { range, hint: printable_line(&hint) }.into());
    }
    let merges = git(&["rev-list", "--count", "--merges", &range])?;
    if merges != "0" {
        let words = "has merges, which are no patches: name a range without them";
        return Err(Failure::input(format!("{} {words}", args.series)));
    }
    let directory = session.cache.temporary()?;
    let path = directory.path().display().to_string();
    git(&["format-patch", "--quiet", "--output-directory", &path, &range])?;
    Ok(Series::of_range(&args.series, directory.path())?)
}

/// The commit before the first patch, and how it was named.
fn base(
    args: &SeriesArgs,
    given: &Given,
    series: &Series,
    source: &Source,
    say: &dyn Fn(&str),
) -> Result<(String, Commit), Failure> {
    let dirty = args.obtain.dirty;
    let from = match given {
        Given::Range { from, .. } => Some(from),
        Given::Mailbox(_) | Given::Directory(_) => None,
    };
    if args.base.is_some() && args.tree.revision.is_some() {
        return Err(Failure::input("--base and @REVISION of --tree: name the base once"));
    }
    if let Some(named) = args.base.as_ref().or(args.tree.revision.as_ref()).or(from) {
        return Ok((named.clone(), source.resolve(Some(named), dirty)?));
    }
    match &series.base {
        Some(named) => match source.resolve(Some(named), dirty) {
            Ok(commit) => Ok((named.clone(), commit)),
            Err(error) => {
                let Failure { exit, error } = Failure::from(error);
                let hint = "the series names it as its base: fetch it, or give another with --base";
                Err(Failure { exit, error: format!("{error}; {hint}").into() })
            }
        },
        None => Ok((String::new(), source.choose(None, dirty, say)?)),
    }
}

/// What decides how a run ends, beside the kernel.
fn terms(args: &SeriesArgs, library: &Library, cells: &[PlannedCell], session: &Session) -> Terms {
    let mut terms = Terms::of_perfsec();
    terms.add(&library.sha256());
    terms.add(&hash::of_bytes(perfsec_cases::known().as_bytes()));
    let names: Vec<String> = cells.iter().map(PlannedCell::name).collect();
    terms.add(&names.join("\n"));
    let machine = &session.ready.machine;
    for policy in &machine.policies {
        terms.add(&format!("{} {}", policy.name, policy.sha256));
    }
    terms.add(&machine.version);
    terms.add(&format!("{:?} {:?}", args.boot.accel, args.boot.distribution));
    args.boot.append.iter().for_each(|parameter| terms.add(parameter));
    terms
}

/// Builds and runs what the options say.
struct Bench<'a> {
    args: &'a SeriesArgs,
    library: &'a Library,
    cells: Vec<PlannedCell>,
    known: Arc<KnownDifferences>,
    terms: Terms,
    options: Options,
    base: Commit,
    session: &'a mut Session,
}

impl Lab for Bench<'_> {
    type Error = Failure;

    fn build(
        &mut self,
        source: &Source,
        commit: &Commit,
    ) -> Result<Result<kbuild::Built, kbuild::Failure>, Failure> {
        let say = |text: &str| self.session.say(text);
        let Options { recipe, interrupt, .. } = &self.options;
        let built =
            Builder::new(recipe, &self.session.cache, interrupt, &say)?.build(source, commit);
        match built {
            Ok(built) => Ok(Ok(built)),
            // What is asked of the base in vain is bad input.
            Err(error) if *commit == self.base && !matches!(error, BuildError::Failed(_)) => {
                Err(error.into())
            }
            Err(error) => Ok(Err(error.of_commit(commit, source.subject(commit)?)?)),
        }
    }

    fn run(&mut self, kernel: &Kernel) -> Result<Recorded, Failure> {
        let image = format!("{} {:?}", kernel.sha256, kernel.distribution);
        let kept = self.terms.find(&image, &self.session.cache);
        if let Some(kept) = kept.filter(|_| !self.args.again) {
            let text = format!("an earlier check ran it: {}", kept.record.display());
            match kept.run.counts().get(Verdict::Error) {
                0 => self.session.say(&text),
                cells => {
                    let cells = counted(cells, "cell");
                    self.session.note(&format!("{text}; {cells} ERROR, which --again runs again"));
                }
            }
            return Ok(kept);
        }
        let filter = self.args.filter.filter();
        let asked = session::asked(&self.args.cases, filter, self.library);
        let run = self.session.run_on(kernel, &self.cells, &self.known, asked)?;
        let record = self.session.record.clone();
        let sha256 = hash::of_path(&record)
            .map_err(|error| Failure::host(format!("cannot read {}: {error}", record.display())))?;
        let recorded = Recorded { run, record, sha256 };
        if !self.terms.keep(&image, &recorded, &self.session.cache)? && !self.stopped() {
            self.session.note("a cell did not run: the next check runs this kernel again");
        }
        Ok(recorded)
    }

    fn say(&self, text: &str) {
        self.session.say(text);
    }

    fn stopped(&self) -> bool {
        self.session.interrupted().is_some()
    }
}

fn render(
    args: &SeriesArgs,
    outcome: &Outcome,
    letter: Option<&Letter>,
) -> Result<String, Failure> {
    let fine = outcome.problems().is_empty();
    if let Some(letter) = letter {
        if fine {
            mail::vouches(Some(&letter.from), &outcome.run.asked);
        }
        return Ok(letter.write_series(outcome));
    }
    Ok(match args.format {
        SeriesFormat::Text => {
            let tester = args.from.clone().or_else(|| fine.then(mail::of_git).flatten());
            if fine {
                mail::vouches(tester.as_ref(), &outcome.run.asked);
            }
            series_text(outcome, tester.as_ref())
        }
        SeriesFormat::Json => serde_json::to_string_pretty(outcome).map_err(Failure::host)? + "\n",
    })
}

/// How the command ends: what is worst decides.
fn ended(outcome: &Outcome) -> Exit {
    match outcome.problems().first() {
        None => Exit::Success,
        Some(problem) => match problem {
            Problem::BaseNotBuilt | Problem::NotBuilt(_) => Exit::Build,
            Problem::BaseNotRun | Problem::NotRun(_) => Exit::Kernel,
            Problem::NotApplied(_) => Exit::Input,
            Problem::Failing { .. }
            | Problem::Changed { .. }
            | Problem::Whole { .. }
            | Problem::Unmet { .. }
            | Problem::Warnings { .. } => Exit::Failed,
            Problem::NotJudged { .. } | Problem::NotEnded => Exit::NotJudged,
            Problem::NothingRan => Exit::NothingRan,
        },
    }
}

impl From<SeriesError> for Failure {
    fn from(error: SeriesError) -> Self {
        cannot(Exit::Input, &error)
    }
}

impl From<ExpectError> for Failure {
    fn from(error: ExpectError) -> Self {
        match error {
            // Each mistake comes with its own heading and place.
            ExpectError::Mistakes(mistakes) => Self::input(mistakes),
            ExpectError::Read { .. } => cannot(Exit::Input, &error),
        }
    }
}
