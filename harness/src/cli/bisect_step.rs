//! `perfsec bisect step`: the program that `git bisect run` asks.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;

use super::args::StepArgs;
use super::session::{self, Session};
use super::{Exit, Failure, record};
use crate::bisect::{CommitWords, Mark, unjudged};
use crate::compare::{self, Baseline, Comparison, DifferenceKind, sides};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::kbuild::{BuildError, Builder};
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::plan::Filter;
use crate::printable::printable_line;
use crate::record::Run;
use crate::source::{Commit, Source, SourceError};

/// Judges the tree. What is not the kernel's fault stops git: it must not take it for a bad commit.
pub(super) fn step(args: &StepArgs) -> Result<Exit, Failure> {
    let (mark, text) = judge(args).map_err(|failure| match failure.exit {
        Exit::Signal(_) => failure,
        _ => Failure { exit: Exit::Stop, ..failure },
    })?;
    // A reader that is gone is no reason to judge otherwise.
    let _ = super::print(&format!("{text}\n"));
    Ok(match mark {
        Mark::Good => Exit::Success,
        Mark::Bad => Exit::Failed,
        Mark::Skip => Exit::Skip,
    })
}

/// Whether a command line that cannot be understood is one of these.
pub(super) fn is_meant(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.skip(1);
    words.any(|word| word == "bisect") && words.any(|word| word == "step")
}

fn judge(args: &StepArgs) -> Result<(Mark, String), Failure> {
    let baseline = args.baseline.as_deref().map(record::read).transpose()?;
    let library = session::library(&args.cases)?;
    let known = Arc::new(KnownDifferences::with(&args.known)?);
    let filter = match (args.filter.filter(), &baseline) {
        (filter, Some(run)) if filter == Filter::default() => run.started.asked.filter.clone(),
        (filter, _) => filter,
    };
    let cells = filter.select(&library).map_err(Failure::input)?;
    session::demand(&cells)?;
    let recipe = args.boot.build.recipe()?;
    let mut session = Session::open_without_kernels(&args.boot)?;
    let built = (|| {
        let say = |text: &str| session.say(text);
        let name = args.tree.display().to_string();
        let (cache, interrupt) = (&session.cache, session.interrupt());
        let source = Source::open(&args.tree, &name, cache, interrupt, &say)?;
        let commit = as_it_is(&source, &say)?;
        let words = CommitWords::of(&source, &commit)?;
        let built = Builder::new(&recipe, cache, interrupt, &say)?.build(&source, &commit);
        match built {
            Ok(built) => Ok((words, Ok(built.kernel))),
            // A configuration that cannot be had is more often a mistake in a fragment than of this commit:
            // to skip for it would skip all of them.
            Err(error) if error.is_of_commit() && !matches!(error, BuildError::Configure(_)) => {
                Ok((words, Err(error)))
            }
            Err(error) => Err(Failure::from(error)),
        }
    })();
    let (words, built): (CommitWords, Result<Kernel, BuildError>) = session.stopped(built)?;
    let told =
        |mark: Mark, why: &str| (mark, printable_line(&format!("{}: {words}: {why}", mark.word())));
    let kernel = match built {
        Ok(kernel) => kernel,
        Err(error) => return Ok(told(Mark::Skip, &format!("cannot {error}"))),
    };
    let asked = session::asked(&args.cases, filter.clone(), &library);
    let ran = session.run_on(&kernel, &cells, &known, asked);
    let run = session.stopped(ran)?;
    if let Some(exit) = session.interrupted() {
        return Err(Failure { exit, error: "interrupted".into() });
    }
    anstream::eprintln!("run record: {}", session.record.display());
    if let Some(why) = unjudged(&run) {
        return Ok(told(Mark::Skip, &why));
    }
    match (&baseline, &args.baseline) {
        (Some(baseline), Some(path)) => {
            let from = path.display().to_string();
            let (mark, why, text) = against(baseline, &from, &run, &filter)?;
            let (mark, line) = told(mark, &why);
            Ok((mark, text + &line))
        }
        _ => Ok(by_verdict(&run)).map(|(mark, why)| told(mark, &why)),
    }
}

/// The commit that git asks about.
fn as_it_is(source: &Source, say: &dyn Fn(&str)) -> Result<Commit, SourceError> {
    match source.resolve(Some("BISECT_HEAD"), false) {
        Err(SourceError::NoRevision { .. }) => source.choose(None, true, say),
        commit => commit,
    }
}

/// By what the cases promise.
fn by_verdict(run: &Run) -> (Mark, String) {
    let count = |wanted: fn(Verdict) -> bool| {
        run.cells().filter(|cell| wanted(cell.judgement.verdict)).count()
    };
    let failed = count(|verdict| verdict == Verdict::Fail);
    let unknown = count(|verdict| matches!(verdict, Verdict::Error | Verdict::Miss)) + run.unseen();
    match (failed, unknown) {
        (0, 0) => (Mark::Good, "no cell fails".to_owned()),
        (0, _) => (Mark::Skip, format!("{} not judged", counted(unknown, "cell"))),
        (_, _) => {
            (Mark::Bad, format!("{} of {} failed", failed, counted(run.cells().count(), "cell")))
        }
    }
}

/// By what cells saw on a good kernel; and how they differ.
fn against(
    good: &Run,
    from: &str,
    run: &Run,
    filter: &Filter,
) -> Result<(Mark, String, String), Failure> {
    let baseline = Baseline::new(good, from)?;
    let sides = sides(run, "this tree");
    let Some(now) = sides.first() else { return Err(Failure::input("the run has no lane")) };
    let before = baseline.partner(now.kernel)?;
    let wanted = filter.matcher().map_err(Failure::input)?;
    let mut comparison = Comparison::of(before, now, &wanted)?;
    // The same was seen: that the cases expect something else of this version is no matter.
    comparison.groups.retain(|group| group.kind != DifferenceKind::Verdict);
    if comparison.different() > 0 {
        let why = format!(
            "{} of {} not as in the baseline",
            comparison.different(),
            counted(comparison.common, "cell")
        );
        return Ok((Mark::Bad, why, compare::text(&comparison, false) + "\n"));
    }
    let names = |lanes: &[&crate::record::LaneRun], wanted: fn(Verdict) -> bool| {
        let cells = lanes.iter().flat_map(|lane| &lane.cells);
        let of = cells.filter(|cell| wanted(cell.judgement.verdict));
        of.map(|cell| cell.name.clone()).collect::<BTreeSet<_>>()
    };
    let judged = names(&before.lanes, Verdict::judged);
    let unknown = names(&now.lanes, |verdict| matches!(verdict, Verdict::Error | Verdict::Miss));
    let lost = judged.intersection(&unknown).count();
    Ok(match (lost, comparison.same) {
        (0, 0) => (Mark::Skip, "no cell could be compared".to_owned(), String::new()),
        (0, _) => (Mark::Good, "as in the baseline".to_owned(), String::new()),
        (_, _) => (Mark::Skip, format!("{} not judged", counted(lost, "cell")), String::new()),
    })
}
