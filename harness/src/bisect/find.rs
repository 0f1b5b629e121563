//! Runs a bisection: tests both ends, keeps the cells that differ, and marks commits.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::slice;

use super::commit::{CommitInfo, Revision};
use super::ends::{BisectMark, Ends, compare};
use super::error::{BisectEnd, BisectError};
use super::images::{Images, Ran, Tested, Untested};
use super::outcome::{BisectStep, Bisection, Culprit};
use super::search::{GitAnswer, GitBisect};
use crate::compare::Comparison;
use crate::counted::counted;
use crate::engine::{EngineError, Lab, RecordedRun};
use crate::kernel::Kernel;
use crate::plan::Filter;
use crate::source::{Commit, Source};

/// Finds the first commit in `good..bad` at which cells see the same as at `bad`.
///
/// # Errors
///
/// Returns an error if an end cannot be tested or the ends do not differ, and the error of the lab.
pub fn bisect(
    lab: &mut dyn Lab,
    source: &Source,
    filter: &Filter,
    good: Revision,
    bad: Revision,
) -> Result<Bisection, BisectError> {
    let (first, last) = (&good.words.commit, &bad.words.commit);
    let commits = GitBisect::commits(source, first, last)?;
    let mut bisector = Bisector { lab, source, tested: Vec::new(), images: Images::new(filter) };
    let run_of_good = bisector.end(BisectEnd::Good, &good.words)?;
    let run_of_bad = bisector.end(BisectEnd::Bad, &bad.words)?;
    if bisector.images.different() == 1 {
        let why = "both ends are the same image, byte for byte";
        return Err(BisectError::Same(why.to_owned()));
    }
    let ends = Ends::of(run_of_good, run_of_bad)?;
    bisector.lab.note(&format!(
        "bisecting: {} between the ends, which differ in {}",
        counted(commits, "commit"),
        counted(ends.cells.len(), "cell")
    ));
    let search = GitBisect::begin(source, first, last)?;
    let mut steps = Vec::new();
    let conclusion = loop {
        match search.next()? {
            GitAnswer::First(commit) => break bisector.first(&ends, &commit)?,
            GitAnswer::Skipped(left) => break bisector.skipped(&ends, &left)?,
            GitAnswer::Look { commit, base, steps: left } => {
                let commit = bisector.words(&commit)?;
                let left = match left {
                    _ if base => "the merge base of the ends".to_owned(),
                    left => format!("about {} left", counted(left as usize, "step")),
                };
                let short = commit.commit.short();
                bisector.lab.note(&format!("bisecting: {left}; {short} ({})", commit.subject));
                let step = bisector.step(&ends, commit)?;
                let (mark, short) = (step.mark.word(), step.commit.commit.short());
                bisector.lab.note(&format!("{mark}: {short}: {}", step.why));
                search.mark(&step.commit.commit, step.mark)?;
                steps.push(step);
            }
        }
    };
    let log = search.log()?;
    let Conclusion { found, across, notes, ran } = conclusion;
    Ok(Bisection {
        tree: source.name().to_owned(),
        commits,
        notes: [ends.notes.clone(), notes].concat(),
        cells: ends.cells.iter().cloned().collect(),
        steps,
        built: bisector.images.built,
        found,
        across,
        run: ends.bad.run.started.clone(),
        lane: ran.run.lanes.first().map(|lane| lane.started.clone()),
        log,
        good,
        bad,
    })
}

/// The commits that were tested.
struct Bisector<'a> {
    lab: &'a mut dyn Lab,
    source: &'a Source,
    tested: Vec<BuiltCommit>,
    images: Images<'a>,
}

/// A commit that was built.
struct BuiltCommit {
    commit: Commit,
    image: String,
    ran: Ran,
}

impl Bisector<'_> {
    fn words(&self, commit: &Commit) -> Result<CommitInfo, BisectError> {
        Ok(CommitInfo::of(self.source, commit)?)
    }

    /// Builds a commit, and runs cells on it unless the same image has run. An inner error is the
    /// reason why it cannot be tested. Also returns the commit that has the same image, if there is
    /// one.
    fn test(
        &mut self,
        commit: &Commit,
        only: Option<&BTreeSet<String>>,
    ) -> Result<(Tested, Option<Commit>), BisectError> {
        if let Some(known) = self.tested.iter().find(|known| known.commit == *commit) {
            return Ok((known.ran.clone().map_err(Untested::NoBoot), None));
        }
        let kernel = match self.lab.build(self.source, commit) {
            Ok(built) => built.kernel,
            Err(error) if error.is_commits_fault() => {
                return Ok((Err(Untested::NoBuild(error)), None));
            }
            Err(error) => return Err(EngineError::from(error).into()),
        };
        let lab = &mut *self.lab;
        let ran = self.images.test(&kernel, only, |filter| {
            let ran = lab.run(slice::from_ref(&kernel), &filter.into())?;
            Ok((ran, lab.stopped()))
        })?;
        let same = self.tested.iter().find(|known| known.image == kernel.identity());
        let other = same.map(|known| known.commit.clone());
        let ran = match other {
            Some(_) => ran.map(|ran| Rc::new(relabelled(&ran, &kernel))),
            None => ran,
        };
        let image = kernel.identity().to_owned();
        self.tested.push(BuiltCommit { commit: commit.clone(), image, ran: ran.clone() });
        Ok((ran.map_err(Untested::NoBoot), other))
    }

    /// Runs all cells that the user asked for at an end, which must work.
    fn end(&mut self, end: BisectEnd, commit: &CommitInfo) -> Result<Rc<RecordedRun>, BisectError> {
        let short = commit.commit.short();
        self.lab.note(&format!("bisecting: the {end} end; {short} ({})", commit.subject));
        self.test(&commit.commit, None)?.0.map_err(|untested| match untested {
            Untested::NoBuild(error) => BisectError::Build { end, source: Box::new(error) },
            Untested::NoBoot(why) => {
                BisectError::Boot { end, commit: Box::new(commit.clone()), why }
            }
        })
    }

    fn step(&mut self, ends: &Ends, commit: CommitInfo) -> Result<BisectStep, BisectError> {
        let (tested, other) = self.test(&commit.commit, Some(&ends.cells))?;
        let (mark, why, record) = match tested {
            Ok(ran) => {
                let (mark, why) = ends.judge(&ran.run)?;
                (mark, why, Some(ran.record.clone()))
            }
            Err(untested) => (BisectMark::Skip, untested.to_string(), None),
        };
        let same = other.map_or_else(String::new, |other| {
            format!("; the same image as that of {}", other.short())
        });
        Ok(BisectStep { commit, mark, why: why + &same, record })
    }

    /// Compares the first bad commit with its parent.
    fn first(&mut self, ends: &Ends, commit: &Commit) -> Result<Conclusion, BisectError> {
        let words = self.words(commit)?;
        let parents = self.source.git().ask(&["rev-parse", &format!("{commit}^@")]);
        let parents = parents.map_err(BisectError::from)?;
        let parents: Vec<Commit> = parents.lines().filter_map(|line| line.parse().ok()).collect();
        let mut notes = Vec::new();
        if parents.len() > 1 {
            notes.push(format!(
                "it is a merge of {}, all of them good; the comparison is with the first one",
                counted(parents.len(), "commit")
            ));
        }
        let mut before = ("the good end".to_owned(), Rc::clone(&ends.good));
        if let Some(parent) = parents.first() {
            let parent = self.words(parent)?;
            match self.test(&parent.commit, Some(&ends.cells))?.0 {
                Ok(ran) => before = (parent.to_string(), ran),
                Err(_) => notes.push(format!(
                    "its parent, {parent}, cannot be tested: the comparison is with the good end"
                )),
            }
        }
        let (from, before) = before;
        let own = match self.test(commit, Some(&ends.cells))?.0 {
            Ok(ran) => ran,
            Err(_) => Rc::clone(&ends.bad),
        };
        let (a, b) = ((from.as_str(), &before.run), (&*words.to_string(), &own.run));
        let across = compare(a, b, Some(&ends.cells))?;
        let changed: BTreeSet<&String> =
            across.groups.iter().flat_map(|group| &group.cells.names).collect();
        let other = |cell: &&String| !changed.contains(cell);
        let elsewhere: Vec<_> = ends.cells.iter().filter(other).cloned().collect();
        if changed.is_empty() {
            notes.push(
                "nothing differs across it: these cells do not see the same in every run, and the \
                 result cannot be trusted"
                    .to_owned(),
            );
        } else if !elsewhere.is_empty() {
            notes.push(format!(
                "{} in which the ends differ changed with another commit: bisect them separately",
                counted(elsewhere.len(), "cell")
            ));
        }
        let records = [before.record.clone(), own.record.clone()];
        let found = Culprit::First { commit: words, elsewhere, records };
        Ok(Conclusion { found, across, notes, ran: own })
    }

    /// Compares the ends if only skipped commits are left.
    fn skipped(&mut self, ends: &Ends, left: &[Commit]) -> Result<Conclusion, BisectError> {
        let commits = left.iter().map(|commit| self.words(commit)).collect::<Result<_, _>>()?;
        let (good, bad) = (("the good end", &ends.good.run), ("the bad end", &ends.bad.run));
        let across = compare(good, bad, Some(&ends.cells))?;
        let found = Culprit::Skipped { commits };
        Ok(Conclusion { found, across, notes: Vec::new(), ran: Rc::clone(&ends.bad) })
    }
}

/// The end of a bisection.
struct Conclusion {
    found: Culprit,
    across: Comparison,
    notes: Vec<String>,
    /// The run of side B of the comparison.
    ran: Rc<RecordedRun>,
}

/// The run of another commit with the same image, relabelled as a run of this kernel.
fn relabelled(ran: &RecordedRun, kernel: &Kernel) -> RecordedRun {
    let mut ran = ran.clone();
    for lane in &mut ran.run.lanes {
        lane.started.kernel.origin.clone_from(&kernel.origin);
    }
    ran
}
