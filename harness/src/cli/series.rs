//! `perfsec series`

use std::path::{Path, PathBuf};

use super::args::{SeriesArgs, SeriesFormat};
use super::destination::{self, Destination};
use super::session::{self, Session};
use super::{Exit, Failure, mail, output};
use crate::engine::{EngineLab, Reuse};
use crate::kbuild::TreeLocation;
use crate::record::RunStarted;
use crate::report::b4::Answers;
use crate::report::mail::{Letter, Original, series_text};
use crate::series::{
    Expectations, Problem, Series, SeriesCheck, SeriesOutcome, SeriesSpec, base, of_range,
};
use crate::text::{self, Text};

pub(super) fn series(args: &SeriesArgs) -> Result<Exit, Failure> {
    let suite = args.cases.suite(&[])?;
    let filter = args.filter.filter();
    let cells = session::select(&filter, &suite)?.len();
    let given = SeriesSpec::parse(&args.series)?;
    keep_inputs(args, &given)?;
    let session = Session::open(args.boot.quiet)?;
    // A kernel is compared with another, not with what the cases expect.
    session.ignore_verdicts();
    let series = match &given {
        SeriesSpec::Mailbox(path) => Some(Series::of_mailbox(path)?),
        SeriesSpec::Directory(path) => Some(Series::of_directory(path)?),
        SeriesSpec::Message(id) => Some(session.fetch(id)?),
        SeriesSpec::Range { .. } => None,
    };
    // Mistakes are reported before hours of building, not after.
    let names = suite.library.cell_names();
    series.iter().try_for_each(|series| meant(args, series, &names).map(drop))?;
    let setup = args.boot.setup(&args.obtain)?;
    let letter = letter(args, series.as_ref())?;
    let out = Destination::optional(args.out.as_deref())?;
    let engine = session.engine(setup)?;
    let checked = (|| {
        let source = engine.tree(&args.tree)?;
        let series = match (series, &given) {
            (Some(series), _) => series,
            (None, SeriesSpec::Range { from, to }) => {
                of_range(&args.series, (from, to), &source, engine.cache())?
            }
            (None, _) => return Err(Failure::input("no series")),
        };
        series.notes.iter().for_each(|note| engine.say(&format!("note: {note}")));
        let (dirty, say) = (args.obtain.dirty, |text: &str| engine.say(text));
        let (named, base) = base(named_base(args, &given)?, &series, &source, dirty, &say)?;
        let meant = meant(args, &series, &names)?;
        let run = RunStarted::now(cells * engine.policies().len(), suite.asked(filter));
        let reuse = if args.again { Reuse::Replace } else { Reuse::Kept };
        let mut lab = EngineLab::new(&engine, &suite, reuse);
        let check = SeriesCheck {
            source: &source,
            base,
            named,
            run,
            series: &series,
            meant,
            suite: &names,
        };
        Ok(check.run(&mut lab)?)
    })();
    let outcome = session.stopped(checked)?;
    Answers::keep(&outcome, engine.cache())?;
    let text = render(args, &outcome, letter.as_ref());
    destination::write(out, &text)?;
    Ok(session.interrupted().unwrap_or_else(|| ended(&outcome)))
}

/// Refuses to write the report over an input.
fn keep_inputs(args: &SeriesArgs, given: &SeriesSpec) -> Result<(), Failure> {
    let files = given.files()?;
    let tree = match &args.tree.location {
        TreeLocation::Path(path) => Some(path),
        TreeLocation::Debian(_) => None,
    };
    let named = args.expect.iter().chain(&args.mail.reply_to_mbox).chain(tree).chain(&files);
    let inputs: Vec<&Path> = named.map(PathBuf::as_path).chain(output::named(&args.boot)).collect();
    output::distinct(&inputs, &args.out.as_deref().into_iter().collect::<Vec<_>>())
}

/// The stated changes.
fn meant(args: &SeriesArgs, series: &Series, suite: &[String]) -> Result<Expectations, Failure> {
    Ok(match &args.expect {
        Some(path) => Expectations::file(path, &series.patches, suite)?,
        None => Expectations::default(),
    })
}

/// The mail, if one is asked for; it replies to the series.
fn letter(args: &SeriesArgs, series: Option<&Series>) -> Result<Option<Letter>, Failure> {
    if !args.mail.mail {
        return Ok(None);
    }
    let answered = series.and_then(Series::answered).and_then(Original::parse);
    mail::letter(&args.mail, args.from.as_ref(), answered).map(Some)
}

/// The base as the options name it, if they do.
fn named_base<'a>(args: &'a SeriesArgs, given: &'a SeriesSpec) -> Result<Option<&'a str>, Failure> {
    if args.base.is_some() && args.tree.revision.is_some() {
        return Err(Failure::input("--base and @REVISION of --tree: name the base once"));
    }
    let from = match given {
        SeriesSpec::Range { from, .. } => Some(from),
        SeriesSpec::Mailbox(_) | SeriesSpec::Directory(_) | SeriesSpec::Message(_) => None,
    };
    Ok(args.base.as_ref().or(args.tree.revision.as_ref()).or(from).map(String::as_str))
}

fn render(args: &SeriesArgs, outcome: &SeriesOutcome, letter: Option<&Letter>) -> Text {
    let fine = outcome.problems().is_empty();
    if let Some(letter) = letter {
        if fine {
            mail::vouches(Some(&letter.from), &outcome.run.asked);
        }
        return letter.write_series(outcome);
    }
    match args.format {
        SeriesFormat::Text => {
            let tester = args.from.clone().or_else(|| fine.then(mail::of_git).flatten());
            if fine {
                mail::vouches(tester.as_ref(), &outcome.run.asked);
            }
            series_text(outcome, tester.as_ref())
        }
        SeriesFormat::Json => text::json(outcome),
    }
}

/// The exit code for the worst problem.
fn ended(outcome: &SeriesOutcome) -> Exit {
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
