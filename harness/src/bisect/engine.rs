//! The search itself: proves both ends, narrows to the cells that differ, and answers `git bisect`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use super::commit::{CommitWords, Revision};
use super::ends::{Ends, Mark, compare, unjudged};
use super::error::{BisectError, End};
use super::outcome::{Found, Outcome, Step};
use super::search::{Next, Search};
use crate::compare::Comparison;
use crate::counted::counted;
use crate::kbuild::BuildError;
use crate::kernel::Kernel;
use crate::record::Run;
use crate::source::{Commit, Source};

/// What builds kernels and runs cells on them.
pub trait Lab {
    /// What stops the whole search, not only the look at one commit.
    type Error: From<BisectError>;

    /// Builds a commit, or says why that is not to be had.
    ///
    /// # Errors
    ///
    /// What the commit cannot be blamed for.
    fn build(&mut self, commit: &Commit) -> Result<Result<Kernel, BuildError>, Self::Error>;

    /// Runs cells on a kernel: those of these names, or all that the user asked for.
    ///
    /// # Errors
    ///
    /// What the kernel cannot be blamed for.
    fn run(&mut self, kernel: &Kernel, only: Option<&BTreeSet<String>>)
    -> Result<Ran, Self::Error>;

    /// Tells the user how far the search is.
    fn say(&self, text: &str);
}

/// Cells that ran on a kernel.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What came of them.
    pub run: Run,
    /// Where the record is.
    pub record: PathBuf,
}

/// Finds the first commit of `bad` that is not in `good` and at which cells look as at `bad`.
///
/// # Errors
///
/// When there is nothing to find, and what the lab stops with.
pub fn bisect<L: Lab>(
    lab: &mut L,
    source: &Source,
    good: Revision,
    bad: Revision,
) -> Result<Outcome, L::Error> {
    let (first, last) = (&good.words.commit, &bad.words.commit);
    let commits = Search::commits(source, first, last)?;
    let mut looks = Looks { lab, source, seen: Vec::new(), built: 0, runs: 0 };
    let run_of_good = looks.end(End::Good, &good.words)?;
    let run_of_bad = looks.end(End::Bad, &bad.words)?;
    if looks.runs == 1 {
        let why = "both ends are the same image, byte for byte";
        return Err(BisectError::Same(why.to_owned()).into());
    }
    let ends = Ends::of(run_of_good, run_of_bad)?;
    looks.lab.say(&format!(
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
                looks.lab.say(&format!("bisecting: {left}; {short} ({})", commit.subject));
                let step = looks.step(&ends, commit)?;
                let (mark, short) = (step.mark.word(), step.commit.commit.short());
                looks.lab.say(&format!("{mark}: {short}: {}", step.why));
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
struct Looks<'a, L> {
    lab: &'a mut L,
    source: &'a Source,
    seen: Vec<Seen>,
    built: usize,
    runs: usize,
}

/// A commit that was built, by its image.
struct Seen {
    commit: Commit,
    image: String,
    ran: Result<Rc<Ran>, String>,
}

/// What came of a look at a commit.
enum Look {
    /// Cells ran.
    Ran(Rc<Ran>),
    /// It does not build.
    NoBuild(BuildError),
    /// Nothing can be tested on it.
    NoBoot(String),
}

impl<L: Lab> Looks<'_, L> {
    fn words(&self, commit: &Commit) -> Result<CommitWords, BisectError> {
        Ok(CommitWords::of(self.source, commit)?)
    }

    /// Builds a commit, and runs cells on it unless its image is one that ran before; then the commit that had
    /// it is told.
    fn look(
        &mut self,
        commit: &Commit,
        only: Option<&BTreeSet<String>>,
    ) -> Result<(Look, Option<Commit>), L::Error> {
        let of = |seen: &Seen| match &seen.ran {
            Ok(ran) => Look::Ran(Rc::clone(ran)),
            Err(why) => Look::NoBoot(why.clone()),
        };
        if let Some(seen) = self.seen.iter().find(|seen| seen.commit == *commit) {
            return Ok((of(seen), None));
        }
        let kernel = match self.lab.build(commit)? {
            Ok(kernel) => kernel,
            Err(error) => return Ok((Look::NoBuild(error), None)),
        };
        self.built += 1;
        let same = self.seen.iter().find(|seen| seen.image == kernel.identity());
        let (ran, other) = match same {
            Some(seen) => {
                let ran = seen.ran.clone().map(|ran| Rc::new(of_commit(&ran, &kernel)));
                (ran, Some(seen.commit.clone()))
            }
            None => {
                self.runs += 1;
                let ran = self.lab.run(&kernel, only)?;
                (unjudged(&ran.run).map_or(Ok(Rc::new(ran)), Err), None)
            }
        };
        let seen = Seen { commit: commit.clone(), image: kernel.identity().to_owned(), ran };
        let look = of(&seen);
        self.seen.push(seen);
        Ok((look, other))
    }

    /// All that was asked for, at an end: without it there is nothing to compare with.
    fn end(&mut self, end: End, commit: &CommitWords) -> Result<Rc<Ran>, L::Error> {
        let short = commit.commit.short();
        self.lab.say(&format!("bisecting: the {end} end; {short} ({})", commit.subject));
        Err(match self.look(&commit.commit, None)?.0 {
            Look::Ran(ran) => return Ok(ran),
            Look::NoBuild(error) => BisectError::Build { end, source: Box::new(error) },
            Look::NoBoot(why) => BisectError::Boot { end, commit: Box::new(commit.clone()), why },
        }
        .into())
    }

    fn step(&mut self, ends: &Ends, commit: CommitWords) -> Result<Step, L::Error> {
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
    fn first(&mut self, ends: &Ends, commit: &Commit) -> Result<Conclusion, L::Error> {
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
    fn skipped(&mut self, ends: &Ends, left: &[Commit]) -> Result<Conclusion, L::Error> {
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
    ran: Rc<Ran>,
}

/// The run of another commit with the same image, as one of this commit.
fn of_commit(ran: &Ran, kernel: &Kernel) -> Ran {
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
