//! Applies, builds and runs a series, one patch after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::slice;

use super::error::CheckError;
use super::expect::{ExpectError, Expectations, IN_TREE};
use super::outcome::{
    Apply, Base, Boot, Build, Built, Checked, FORMAT, Outcome, PatchOutcome, Place, Ran, Tested,
};
use super::read::Series;
use super::{Wanted, of_patch, of_series, stated};
use crate::engine::{Batch, EngineError, Lab, Recorded};
use crate::kbuild::{BuildError, Diagnostic};
use crate::kernel::Origin;
use crate::record::RunStarted;
use crate::source::{Commit, Source, SourceError};

/// A series to check.
#[derive(Debug)]
pub struct Check<'a> {
    /// The tree.
    pub source: &'a Source,
    /// The commit before the first patch.
    pub base: Commit,
    /// The base as the user named it; empty for the tree as it is.
    pub named: String,
    /// How the check began.
    pub run: RunStarted,
    /// The series.
    pub series: &'a Series,
    /// The changes that are meant; the series itself may bring more.
    pub meant: Expectations,
    /// The names of all cells that there are.
    pub suite: &'a [String],
}

impl Check<'_> {
    /// Checks it. Nothing is built of a series that does not apply as a whole. What was found when the user
    /// wants it to end is the outcome, too.
    ///
    /// # Errors
    ///
    /// When something else is to blame than the series.
    pub fn run(self, lab: &mut dyn Lab) -> Result<Outcome, CheckError> {
        let Self { source, base, named, run, series, mut meant, suite } = self;
        let is_head = || source.resolve(Some("HEAD"), false).is_ok_and(|head| head == base);
        let told = Base {
            own: named.is_empty() && !is_head(),
            named,
            commit: base.to_string(),
            describe: source.describe(&base)?,
            tree: source.name().to_owned(),
            build: None,
            tested: None,
        };
        let filter = run.asked.filter.clone();
        let mut outcome = begin(series, told, run);
        let commits = apply(source, &base, series, &mut outcome)?;
        if commits.len() < series.patches.len() {
            // Whoever is to make the series whole must not wait for the kernels before it.
            outcome.ended = true;
            return Ok(outcome);
        }
        meant.extend(brought(source, &base, &commits, series, suite)?);
        let wanted = filter.matcher()?;
        let batch = Batch::from(filter.clone());
        let mut going = Going {
            source,
            lab,
            batch,
            meant: &meant,
            wanted: &wanted,
            seen: Vec::new(),
            warnings: None,
        };
        match going.all(&base, &commits, &mut outcome) {
            Err(_) if going.lab.stopped() => {}
            ended => outcome.ended = ended?,
        }
        outcome.stated = stated(&meant, &outcome.patches);
        if !outcome.ended {
            // Of what was not looked at nobody knows whether it happened.
            outcome.stated.iter_mut().for_each(|stated| stated.unmet.clear());
        }
        Ok(outcome)
    }
}

fn begin(series: &Series, base: Base, run: RunStarted) -> Outcome {
    Outcome {
        format: FORMAT,
        run,
        series: Checked {
            name: series.name.clone(),
            version: series.version,
            cover: series.cover.as_ref().map(|cover| cover.subject.clone()),
            sha256: series.sha256(),
        },
        base,
        built: Built::default(),
        lanes: Vec::new(),
        patches: series.patches.iter().map(PatchOutcome::new).collect(),
        whole: None,
        stated: Vec::new(),
        notes: series.notes.clone(),
        ended: false,
    }
}

/// Applies the patches, as far as they do, and returns their commits.
fn apply(
    source: &Source,
    base: &Commit,
    series: &Series,
    outcome: &mut Outcome,
) -> Result<Vec<Commit>, SourceError> {
    source.check_out(base)?;
    let mut commits = Vec::new();
    for (patch, told) in std::iter::zip(&series.patches, &mut outcome.patches) {
        match source.apply(&patch.mboxrd())? {
            Ok(commit) => {
                told.apply = Apply::Applied { commit: commit.to_string() };
                commits.push(commit);
            }
            Err(why) => {
                let place = |(file, line)| Place { file, line };
                let places = why.hunks.into_iter().map(place).collect();
                told.apply = Apply::Failed { places, message: why.said };
                break;
            }
        }
    }
    Ok(commits)
}

/// The changes that the series itself says it means.
fn brought(
    source: &Source,
    base: &Commit,
    commits: &[Commit],
    series: &Series,
    suite: &[String],
) -> Result<Expectations, CheckError> {
    let mut all = Expectations::default();
    let Some(last) = commits.last() else { return Ok(all) };
    for path in source.changed(base, last)? {
        if Path::new(&path).file_name().is_none_or(|name| name != IN_TREE) {
            continue;
        }
        if let Some(text) = source.file(last, &path)? {
            let read = Expectations::read(Path::new(&path), &text, &series.patches, suite);
            all.extend(read.map_err(ExpectError::from)?);
        }
    }
    Ok(all)
}

/// A check under way.
struct Going<'a> {
    source: &'a Source,
    lab: &'a mut dyn Lab,
    batch: Batch,
    meant: &'a Expectations,
    wanted: Wanted<'a>,
    /// Every kernel that ran.
    seen: Vec<Seen>,
    /// What the compiler warned of in the last kernel that was built.
    warnings: Option<BTreeSet<Diagnostic>>,
}

/// A kernel that ran.
struct Seen {
    /// The patch after which it is; 0 is the base.
    number: usize,
    image: String,
    recorded: Recorded,
    boot: Boot,
}

/// What came of one commit.
struct Step {
    build: Build,
    tested: Option<Tested>,
    /// Its kernel among those that ran, unless it could not be tested.
    seen: Option<usize>,
}

impl Going<'_> {
    /// Checks everything; whether it came to its end.
    fn all(
        &mut self,
        base: &Commit,
        commits: &[Commit],
        outcome: &mut Outcome,
    ) -> Result<bool, CheckError> {
        self.lab.say(&format!("base {}", outcome.base.describe));
        let step = self.one(0, base, outcome)?;
        (outcome.base.build, outcome.base.tested) = (Some(step.build), step.tested);
        let Some(mut last) = step.seen else { return Ok(!self.lab.stopped()) };
        let lanes = &self.seen[last].recorded.run.lanes;
        outcome.lanes = lanes.iter().map(|lane| lane.started.clone()).collect();
        let (first, mut against) = (last, 0);
        for (at, commit) in commits.iter().enumerate() {
            if self.lab.stopped() {
                return Ok(false);
            }
            let number = at + 1;
            let subject = &outcome.patches[at].subject;
            self.lab.say(&format!("patch {number} of {}: {subject}", outcome.patches.len()));
            let step = self.one(number, commit, outcome)?;
            if self.lab.stopped() && step.seen.is_none() {
                return Ok(false);
            }
            let patch = &mut outcome.patches[at];
            (patch.build, patch.tested) = (Some(step.build), step.tested);
            let Some(seen) = step.seen else { continue };
            if seen != last {
                let (before, after) = (&self.seen[last], &self.seen[seen]);
                let (before, after) = (&before.recorded.run, &after.recorded.run);
                let (meant, wanted) = (self.meant, self.wanted);
                patch.changed = Some(of_patch(before, after, number, against, meant, wanted)?);
            }
            (last, against) = (seen, number);
        }
        if last != first {
            let (before, after) = (&self.seen[first].recorded.run, &self.seen[last].recorded.run);
            outcome.whole = Some(of_series(before, after, against, self.meant, self.wanted)?);
        }
        Ok(true)
    }

    /// Builds a commit, and runs its kernel unless the same ran already.
    fn one(
        &mut self,
        number: usize,
        commit: &Commit,
        outcome: &mut Outcome,
    ) -> Result<Step, CheckError> {
        let built = match self.lab.build(self.source, commit) {
            Ok(built) => built,
            // A configuration that the base does not take is bad input.
            Err(error) if number == 0 && !matches!(error, BuildError::Failed(_)) => {
                return Err(EngineError::from(error).into());
            }
            Err(error) => {
                let failure = error.of_commit(commit, self.source.subject(commit)?);
                let failure = failure.map_err(EngineError::from)?;
                let build = Build::Failed { first: failure.first, log: failure.log };
                return Ok(Step { build, tested: None, seen: None });
            }
        };
        if let Origin::Tree { fragments, variables, compiler, .. } = &built.kernel.origin {
            outcome.built = Built {
                config: fragments.clone(),
                make: variables.clone(),
                compiler: compiler.clone(),
            };
        }
        let new_warnings = match &self.warnings {
            Some(before) => new(before, &built.warnings),
            None => Vec::new(),
        };
        self.warnings = Some(built.warnings);
        let image = built.kernel.sha256.clone();
        let build = Build::Built { image: image.clone(), new_warnings };
        if let Some(at) = self.seen.iter().position(|seen| seen.image == image) {
            let seen = &self.seen[at];
            self.lab.say("the same kernel as one that ran already");
            let fine = seen.boot == Boot::Booted;
            let tested = Some(Tested::Same { as_of: seen.number });
            return Ok(Step { build, tested, seen: fine.then_some(at) });
        }
        let recorded = self.lab.run(slice::from_ref(&built.kernel), &self.batch)?;
        if recorded.run.end.as_ref().is_none_or(|end| end.interrupted) {
            return Ok(Step { build, tested: None, seen: None });
        }
        let Recorded { run, record, sha256 } = recorded.clone();
        let ran = Ran::of(&run, record, sha256);
        let boot = ran.boot.clone();
        let fine = boot == Boot::Booted;
        self.seen.push(Seen { number, image, recorded, boot });
        let seen = fine.then_some(self.seen.len() - 1);
        Ok(Step { build, tested: Some(Tested::Ran(ran)), seen })
    }
}

/// The warnings that there were not before. A patch moves lines, so the line does not count.
fn new(before: &BTreeSet<Diagnostic>, after: &BTreeSet<Diagnostic>) -> Vec<Diagnostic> {
    fn key(warning: &Diagnostic) -> (Option<&str>, &str) {
        (warning.file.as_deref(), &warning.message)
    }
    let mut known: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
    before.iter().for_each(|warning| *known.entry(key(warning)).or_default() += 1);
    let fresh = after.iter().filter(|warning| match known.get_mut(&key(warning)) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    fresh.cloned().collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn warnings(lines: &[(usize, &str)]) -> BTreeSet<Diagnostic> {
        let one = |(line, message): &(usize, &str)| Diagnostic {
            file: Some("kernel/core.c".to_owned()),
            line: Some(*line),
            message: (*message).to_owned(),
        };
        lines.iter().map(one).collect()
    }

    #[rstest]
    #[case::none(&[], &[], 0)]
    #[case::moved(&[(1, "a")], &[(7, "a")], 0)]
    #[case::gone(&[(1, "a")], &[], 0)]
    #[case::new(&[(1, "a")], &[(1, "a"), (2, "b")], 1)]
    #[case::once_more(&[(1, "a")], &[(1, "a"), (2, "a")], 1)]
    fn a_warning_is_new_wherever_it_stands(
        #[case] before: &[(usize, &str)],
        #[case] after: &[(usize, &str)],
        #[case] count: usize,
    ) {
        assert_eq!(new(&warnings(before), &warnings(after)).len(), count);
    }
}
