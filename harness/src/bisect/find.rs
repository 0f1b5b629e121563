//! The search itself: proves both ends, narrows to the cells that differ, and answers `git bisect`.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::slice;

use super::commit::{CommitWords, Revision};
use super::ends::{Ends, Mark, compare, unjudged};
use super::error::{BisectError, End};
use super::outcome::{Found, Outcome, Step};
use super::search::{Next, Search};
use crate::compare::Comparison;
use crate::counted::counted;
use crate::engine::{EngineError, Lab, Recorded};
use crate::kbuild::BuildError;
use crate::kernel::Kernel;
use crate::plan::Filter;
use crate::source::{Commit, Source};

/// Finds the first commit of `bad` that is not in `good` and at which cells look as at `bad`.
///
/// # Errors
///
/// When there is nothing to find, and what the lab stops with.
pub fn bisect(
    lab: &mut dyn Lab,
    source: &Source,
    filter: &Filter,
    good: Revision,
    bad: Revision,
) -> Result<Outcome, BisectError> {
    let (first, last) = (&good.words.commit, &bad.words.commit);
    let commits = Search::commits(source, first, last)?;
    let mut looks = Looks { lab, source, filter, seen: Vec::new(), built: 0, runs: 0 };
    let run_of_good = looks.end(End::Good, &good.words)?;
    let run_of_bad = looks.end(End::Bad, &bad.words)?;
    if looks.runs == 1 {
        let why = "both ends are the same image, byte for byte";
        return Err(BisectError::Same(why.to_owned()));
    }
    let ends = Ends::of(run_of_good, run_of_bad)?;
    looks.lab.note(&format!(
        "bisecting: {} between the ends, which differ in {}",
        counted(commits, "commit"),
        counted(ends.cells.len(), "cell")
    ));
    let search = Search::begin(source, first, last)?;
    let mut steps = Vec::new();
    let conclusion = loop {
        match search.next()? {
            Next::First(commit) => break looks.first(&ends, &commit)?,
            Next::Skipped(left) => break looks.skipped(&ends, &left)?,
            Next::Look { commit, base, steps: left } => {
                let commit = looks.words(&commit)?;
                let left = match left {
                    _ if base => "where the ends branched off from each other".to_owned(),
                    left => format!("about {} left", counted(left as usize, "step")),
                };
                let short = commit.commit.short();
                looks.lab.note(&format!("bisecting: {left}; {short} ({})", commit.subject));
                let step = looks.step(&ends, commit)?;
                let (mark, short) = (step.mark.word(), step.commit.commit.short());
                looks.lab.note(&format!("{mark}: {short}: {}", step.why));
                search.mark(&step.commit.commit, step.mark)?;
                steps.push(step);
            }
        }
    };
    let log = search.log()?;
    let Conclusion { found, across, notes, ran } = conclusion;
    Ok(Outcome {
        tree: source.name().to_owned(),
        commits,
        notes: [ends.notes.clone(), notes].concat(),
        cells: ends.cells.iter().cloned().collect(),
        steps,
        built: looks.built,
        found,
        across,
        run: ends.bad.run.started.clone(),
        lane: ran.run.lanes.first().map(|lane| lane.started.clone()),
        log,
        good,
        bad,
    })
}

/// What was seen of commits.
struct Looks<'a> {
    lab: &'a mut dyn Lab,
    source: &'a Source,
    /// The cells that the user asked for.
    filter: &'a Filter,
    seen: Vec<Seen>,
    built: usize,
    runs: usize,
}

/// A commit that was built, by its image.
struct Seen {
    commit: Commit,
    image: String,
    ran: Result<Rc<Recorded>, String>,
}

/// What came of a look at a commit.
enum Look {
    /// Cells ran.
    Ran(Rc<Recorded>),
    /// It does not build.
    NoBuild(BuildError),
    /// Nothing can be tested on it.
    NoBoot(String),
}

impl Looks<'_> {
    fn words(&self, commit: &Commit) -> Result<CommitWords, BisectError> {
        Ok(CommitWords::of(self.source, commit)?)
    }

    /// Builds a commit, and runs cells on it unless its image is one that ran before; then the commit that had
    /// it is told.
    fn look(
        &mut self,
        commit: &Commit,
        only: Option<&BTreeSet<String>>,
    ) -> Result<(Look, Option<Commit>), BisectError> {
        let of = |seen: &Seen| match &seen.ran {
            Ok(ran) => Look::Ran(Rc::clone(ran)),
            Err(why) => Look::NoBoot(why.clone()),
        };
        if let Some(seen) = self.seen.iter().find(|seen| seen.commit == *commit) {
            return Ok((of(seen), None));
        }
        let kernel = match self.lab.build(self.source, commit) {
            Ok(built) => built.kernel,
            Err(error) if error.is_of_commit() => return Ok((Look::NoBuild(error), None)),
            Err(error) => return Err(EngineError::from(error).into()),
        };
        self.built += 1;
        let same = self.seen.iter().find(|seen| seen.image == kernel.sha256);
        let (ran, other) = match same {
            Some(seen) => {
                let ran = seen.ran.clone().map(|ran| Rc::new(of_commit(&ran, &kernel)));
                (ran, Some(seen.commit.clone()))
            }
            None => {
                self.runs += 1;
                let ran = self.run(&kernel, only)?;
                (unjudged(&ran.run).map_or(Ok(Rc::new(ran)), Err), None)
            }
        };
        let seen = Seen { commit: commit.clone(), image: kernel.sha256, ran };
        let look = of(&seen);
        self.seen.push(seen);
        Ok((look, other))
    }

    /// Runs cells on a kernel: those with these names, or all that the user asked for.
    fn run(
        &mut self,
        kernel: &Kernel,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Recorded, EngineError> {
        let filter = match only {
            None => self.filter.clone(),
            Some(names) => Filter { names: names.iter().cloned().collect(), ..Filter::default() },
        };
        let recorded = self.lab.run(slice::from_ref(kernel), &filter.into())?;
        // The marks of a bisection must not depend on cells that did not run.
        if self.lab.stopped() { Err(EngineError::Interrupted) } else { Ok(recorded) }
    }

    /// All that was asked for, at an end: without it there is nothing to compare with.
    fn end(&mut self, end: End, commit: &CommitWords) -> Result<Rc<Recorded>, BisectError> {
        let short = commit.commit.short();
        self.lab.note(&format!("bisecting: the {end} end; {short} ({})", commit.subject));
        Err(match self.look(&commit.commit, None)?.0 {
            Look::Ran(ran) => return Ok(ran),
            Look::NoBuild(error) => BisectError::Build { end, source: Box::new(error) },
            Look::NoBoot(why) => BisectError::Boot { end, commit: Box::new(commit.clone()), why },
        })
    }

    fn step(&mut self, ends: &Ends, commit: CommitWords) -> Result<Step, BisectError> {
        let (look, other) = self.look(&commit.commit, Some(&ends.cells))?;
        let (mark, why, record) = match look {
            Look::Ran(ran) => {
                let (mark, why) = ends.judge(&ran.run)?;
                (mark, why, Some(ran.record.clone()))
            }
            Look::NoBuild(error) => (Mark::Skip, no_build(&error), None),
            Look::NoBoot(why) => (Mark::Skip, format!("cannot be tested: {why}"), None),
        };
        let same = other.map_or_else(String::new, |other| {
            format!("; the same image as that of {}", other.short())
        });
        let why = crate::printable::printable_line(&format!("{why}{same}"));
        Ok(Step { commit, mark, why, record })
    }

    /// The first bad commit, against the one before it.
    fn first(&mut self, ends: &Ends, commit: &Commit) -> Result<Conclusion, BisectError> {
        let words = self.words(commit)?;
        let parents = self.source.git().ask(&["rev-parse", &format!("{commit}^@")]);
        let parents = parents.map_err(BisectError::from)?;
        let parents: Vec<Commit> = parents.lines().filter_map(|line| line.parse().ok()).collect();
        let mut notes = Vec::new();
        if parents.len() > 1 {
            notes.push(format!(
                "it is a merge of {}, each of which is good; what was seen of the first one is shown",
                counted(parents.len(), "commit")
            ));
        }
        let mut before = ("the good end".to_owned(), Rc::clone(&ends.good));
        if let Some(parent) = parents.first() {
            let parent = self.words(parent)?;
            match self.look(&parent.commit, Some(&ends.cells))?.0 {
                Look::Ran(ran) => before = (parent.to_string(), ran),
                Look::NoBuild(_) | Look::NoBoot(_) => notes.push(format!(
                    "its parent, {parent}, cannot be tested: the good end is shown instead"
                )),
            }
        }
        let (from, before) = before;
        let own = match self.look(commit, Some(&ends.cells))?.0 {
            Look::Ran(ran) => ran,
            Look::NoBuild(_) | Look::NoBoot(_) => Rc::clone(&ends.bad),
        };
        let (a, b) = ((from.as_str(), &before.run), (&*words.to_string(), &own.run));
        let across = compare(a, b, Some(&ends.cells))?;
        let changed: BTreeSet<&String> =
            across.groups.iter().flat_map(|group| &group.cells.names).collect();
        let other = |cell: &&String| !changed.contains(cell);
        let elsewhere: Vec<_> = ends.cells.iter().filter(other).cloned().collect();
        if changed.is_empty() {
            notes.push(
                "nothing differs across it: what these cells see is not the same each time, and the \
                 search cannot be trusted"
                    .to_owned(),
            );
        } else if !elsewhere.is_empty() {
            notes.push(format!(
                "{} in which the ends differ changed with another commit: bisect them alone",
                counted(elsewhere.len(), "cell")
            ));
        }
        let records = [before.record.clone(), own.record.clone()];
        let found = Found::First { commit: words, elsewhere, records };
        Ok(Conclusion { found, across, notes, ran: own })
    }

    /// Some commits, one of which is the first bad one.
    fn skipped(&mut self, ends: &Ends, left: &[Commit]) -> Result<Conclusion, BisectError> {
        let commits = left.iter().map(|commit| self.words(commit)).collect::<Result<_, _>>()?;
        let (good, bad) = (("the good end", &ends.good.run), ("the bad end", &ends.bad.run));
        let across = compare(good, bad, Some(&ends.cells))?;
        let found = Found::Skipped { commits };
        Ok(Conclusion { found, across, notes: Vec::new(), ran: Rc::clone(&ends.bad) })
    }
}

/// What a search ends with.
struct Conclusion {
    found: Found,
    across: Comparison,
    notes: Vec<String>,
    /// What B of the comparison is.
    ran: Rc<Recorded>,
}

/// The run of another commit with the same image, as one of this commit.
fn of_commit(ran: &Recorded, kernel: &Kernel) -> Recorded {
    let mut ran = ran.clone();
    for lane in &mut ran.run.lanes {
        lane.started.kernel.origin.clone_from(&kernel.origin);
    }
    ran
}

fn no_build(error: &BuildError) -> String {
    match error {
        BuildError::Failed(failure) => {
            let why = failure.first.as_ref();
            let why = why.map_or_else(|| "make says no more".to_owned(), ToString::to_string);
            format!("does not build: {why}; the log is {}", failure.log.display())
        }
        error => format!("does not build: cannot {error}"),
    }
}
