//! Judges one commit for a `git bisect run` of the user's own.

use std::collections::BTreeSet;
use std::slice;

use super::commit::CommitInfo;
use super::ends::{BisectMark, unjudged};
use super::error::BisectError;
use crate::compare::{self, Baseline, Comparison, NothingInCommon, sides};
use crate::counted::counted;
use crate::engine::{EngineError, Lab};
use crate::judge::Verdict;
use crate::kbuild::BuildError;
use crate::plan::Filter;
use crate::record::{LaneRun, Run};
use crate::source::{Commit, Source, SourceError};
use crate::text::Text;

/// A judged commit.
#[derive(Clone, Debug)]
pub struct JudgedCommit {
    /// The mark for git.
    pub mark: BisectMark,
    /// The mark, the commit and the reason in one line; above it, what differs from the baseline.
    pub text: Text,
}

/// Builds the commit that git asks about, runs cells on it and judges it: by what they saw in the
/// baseline, a run and its path, or else by what the cases expect.
///
/// # Errors
///
/// Returns an error if something other than the commit is to blame.
pub fn step(
    lab: &mut dyn Lab,
    source: &Source,
    filter: &Filter,
    baseline: Option<(&Run, &str)>,
) -> Result<JudgedCommit, BisectError> {
    let commit = current(source, &|text| lab.say(text))?;
    let words = CommitInfo::of(source, &commit)?;
    let judged = |mark: BisectMark, why: &str, mut text: Text| {
        text.line(format_args!("{}: {words}: {why}", mark.word()));
        Ok(JudgedCommit { mark, text })
    };
    let skip = |why: &str| judged(BisectMark::Skip, why, Text::new());
    let kernel = match lab.build(source, &commit) {
        Ok(built) => built.kernel,
        // A configuration that cannot be had is more often a mistake in a fragment than in this
        // commit, and skipping for it would skip every commit.
        Err(error) if error.is_commits_fault() && !matches!(error, BuildError::Configure(_)) => {
            return skip(&format!("cannot {error}"));
        }
        Err(error) => return Err(EngineError::from(error).into()),
    };
    let recorded = lab.run(slice::from_ref(&kernel), &filter.clone().into())?;
    if lab.stopped() {
        return Err(EngineError::Interrupted.into());
    }
    lab.note(&format!("run record: {}", recorded.record.display()));
    let run = recorded.run;
    if let Some(why) = unjudged(&run) {
        return skip(&why);
    }
    let (mark, why, differences) = match baseline {
        Some((good, from)) => against(good, from, &run, filter)?,
        None => {
            let (mark, why) = by_verdict(&run);
            (mark, why, Text::new())
        }
    };
    judged(mark, &why, differences)
}

/// The commit that git asks about: after `git bisect start --no-checkout` its BISECT_HEAD, else the
/// tree with its uncommitted changes.
fn current(source: &Source, say: &dyn Fn(&str)) -> Result<Commit, SourceError> {
    match source.resolve(Some("BISECT_HEAD"), false) {
        Err(SourceError::NoRevision { .. }) => source.choose(None, true, say),
        commit => commit,
    }
}

/// Judges by what the cases expect.
fn by_verdict(run: &Run) -> (BisectMark, String) {
    let count = |wanted: fn(Verdict) -> bool| {
        run.cells().filter(|cell| wanted(cell.judgement.verdict)).count()
    };
    let failed = count(|verdict| verdict == Verdict::Fail);
    let unknown = count(Verdict::is_unjudged) + run.unseen();
    match (failed, unknown) {
        (0, 0) => (BisectMark::Good, "no cell fails".to_owned()),
        (0, _) => (BisectMark::Skip, format!("{} not judged", counted(unknown, "cell"))),
        (_, _) => (
            BisectMark::Bad,
            format!("{} of {} failed", failed, counted(run.cells().count(), "cell")),
        ),
    }
}

/// Judges by what cells saw on a good kernel. Returns the mark, the reason and the differences.
fn against(
    good: &Run,
    from: &str,
    run: &Run,
    filter: &Filter,
) -> Result<(BisectMark, String, Text), BisectError> {
    let baseline = Baseline::new(good, from)?;
    let sides = sides(run, "this tree");
    let Some(now) = sides.first() else {
        return Err(NothingInCommon::of(from.to_owned(), "this tree".to_owned()).into());
    };
    let before = baseline.partner(now.kernel)?;
    let mut comparison = Comparison::of(before, now, &filter.matcher()?)?;
    // A difference only in what the cases expect of the two versions is no difference in what
    // they saw, and a flaky cell saw nothing for certain.
    comparison.groups.retain(|group| group.kind.is_seen());
    if comparison.different() > 0 {
        let why = format!(
            "{} of {} not as in the baseline",
            comparison.different(),
            counted(comparison.common, "cell")
        );
        let mut differences = compare::text(&comparison, false);
        differences.end();
        return Ok((BisectMark::Bad, why, differences));
    }
    let names = |lanes: &[&LaneRun], wanted: fn(Verdict) -> bool| {
        let cells = lanes.iter().flat_map(|lane| &lane.cells);
        let of = cells.filter(|cell| wanted(cell.judgement.verdict));
        of.map(|cell| cell.name.clone()).collect::<BTreeSet<_>>()
    };
    let judged = names(&before.lanes, Verdict::judged);
    let unknown = names(&now.lanes, Verdict::is_unjudged);
    let lost = judged.intersection(&unknown).count();
    Ok(match (lost, comparison.same) {
        (0, 0) => (BisectMark::Skip, "no cell could be compared".to_owned(), Text::new()),
        (0, _) => (BisectMark::Good, "as in the baseline".to_owned(), Text::new()),
        (_, _) => (BisectMark::Skip, format!("{} not judged", counted(lost, "cell")), Text::new()),
    })
}
