//! Checks a series: applies it, then builds and runs each patch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::slice;

use super::error::CheckError;
use super::expect::{ExpectError, Expectations, IN_TREE};
use super::outcome::{
    ApplyResult, BaseOutcome, BootResult, BuildResult, BuildSettings, FORMAT, KernelRun,
    PatchOutcome, RejectedHunk, SeriesInfo, SeriesOutcome, TestResult,
};
use super::read::Series;
use super::{Wanted, of_patch, of_series, stated};
use crate::engine::{Batch, EngineError, Lab, RecordedRun};
use crate::kbuild::{BuildError, Diagnostic};
use crate::kernel::Origin;
use crate::record::RunStarted;
use crate::source::{Commit, Source, SourceError};

/// A series to check.
#[derive(Debug)]
pub struct SeriesCheck<'a> {
    /// The tree.
    pub source: &'a Source,
    /// The commit before the first patch.
    pub base: Commit,
    /// The name of the base; empty for the tree as it is.
    pub named: String,
    /// The command and the cells of the check.
    pub run: RunStarted,
    /// The series.
    pub series: &'a Series,
    /// The stated changes; the series itself may add more.
    pub meant: Expectations,
    /// The names of all cells.
    pub suite: &'a [String],
}

impl SeriesCheck<'_> {
    /// Checks the series. Builds nothing if some patch does not apply. If the user stops the check,
    /// returns the results so far.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than the series is to blame.
    pub fn run(self, lab: &mut dyn Lab) -> Result<SeriesOutcome, CheckError> {
        let Self { source, base, named, run, series, mut meant, suite } = self;
        let is_head = || source.resolve(Some("HEAD"), false).is_ok_and(|head| head == base);
        let base_outcome = BaseOutcome {
            own: named.is_empty() && !is_head(),
            named,
            commit: base.to_string(),
            describe: source.describe(&base)?,
            tree: source.name().to_owned(),
            build: None,
            tested: None,
        };
        let filter = run.asked.filter.clone();
        let mut outcome = begin(series, base_outcome, run);
        let commits = apply(source, &base, series, &mut outcome)?;
        if commits.len() < series.patches.len() {
            // The author must not wait for kernels to learn that a patch does not apply.
            outcome.ended = true;
            return Ok(outcome);
        }
        meant.extend(stated_in_tree(source, &base, &commits, series, suite)?);
        let wanted = filter.matcher()?;
        let batch = Batch::from(filter.clone());
        let mut checker = Checker {
            source,
            lab,
            batch,
            meant: &meant,
            wanted: &wanted,
            tested: Vec::new(),
            warnings: None,
        };
        match checker.all(&base, &commits, &mut outcome) {
            Err(_) if checker.lab.stopped() => {}
            ended => outcome.ended = ended?,
        }
        outcome.stated = stated(&meant, &outcome.patches);
        if !outcome.ended {
            // A change may happen in a patch that was not checked yet.
            outcome.stated.iter_mut().for_each(|stated| stated.unmet.clear());
        }
        Ok(outcome)
    }
}

fn begin(series: &Series, base: BaseOutcome, run: RunStarted) -> SeriesOutcome {
    let cover_id = series.cover.as_ref().and_then(|cover| cover.id.as_ref());
    SeriesOutcome {
        format: FORMAT,
        run,
        series: SeriesInfo {
            name: series.name.clone(),
            version: series.version,
            cover: series.cover.as_ref().map(|cover| cover.subject.clone()),
            cover_id: cover_id.map(|id| id.as_str().to_owned()),
            sha256: series.sha256(),
        },
        base,
        built: BuildSettings::default(),
        lanes: Vec::new(),
        patches: series.patches.iter().map(PatchOutcome::new).collect(),
        whole: None,
        stated: Vec::new(),
        notes: series.notes.clone(),
        ended: false,
    }
}

/// Applies the patches up to the first that does not apply, and returns their commits.
fn apply(
    source: &Source,
    base: &Commit,
    series: &Series,
    outcome: &mut SeriesOutcome,
) -> Result<Vec<Commit>, SourceError> {
    source.check_out(base)?;
    let mut commits = Vec::new();
    for (patch, result) in std::iter::zip(&series.patches, &mut outcome.patches) {
        match source.apply(&patch.mboxrd())? {
            Ok(commit) => {
                result.apply = ApplyResult::Applied { commit: commit.to_string() };
                commits.push(commit);
            }
            Err(why) => {
                let place = |(file, line)| RejectedHunk { file, line };
                let places = why.hunks.into_iter().map(place).collect();
                result.apply = ApplyResult::Failed { places, message: why.said };
                break;
            }
        }
    }
    Ok(commits)
}

/// The stated changes in files that the series adds to the tree.
fn stated_in_tree(
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

/// The state of a check.
struct Checker<'a> {
    source: &'a Source,
    lab: &'a mut dyn Lab,
    batch: Batch,
    meant: &'a Expectations,
    wanted: Wanted<'a>,
    /// Every kernel that ran.
    tested: Vec<TestedImage>,
    /// The compiler warnings of the last kernel that was built.
    warnings: Option<BTreeSet<Diagnostic>>,
}

/// A kernel that ran.
struct TestedImage {
    /// The number of its patch; 0 is the base.
    number: usize,
    image: String,
    recorded: RecordedRun,
    boot: BootResult,
}

/// The result of one commit.
struct CommitResult {
    build: BuildResult,
    tested: Option<TestResult>,
    /// The index of its kernel among those that ran; `None` if it cannot be tested.
    kernel: Option<usize>,
}

impl Checker<'_> {
    /// Checks the base and all patches. Returns false if the user stopped it.
    fn all(
        &mut self,
        base: &Commit,
        commits: &[Commit],
        outcome: &mut SeriesOutcome,
    ) -> Result<bool, CheckError> {
        self.lab.say(&format!("base {}", outcome.base.describe));
        let result = self.one(0, base, outcome)?;
        (outcome.base.build, outcome.base.tested) = (Some(result.build), result.tested);
        let Some(mut last) = result.kernel else { return Ok(!self.lab.stopped()) };
        let lanes = &self.tested[last].recorded.run.lanes;
        outcome.lanes = lanes.iter().map(|lane| lane.started.clone()).collect();
        let (first, mut against) = (last, 0);
        for (at, commit) in commits.iter().enumerate() {
            if self.lab.stopped() {
                return Ok(false);
            }
            let number = at + 1;
            let subject = &outcome.patches[at].subject;
            self.lab.say(&format!("patch {number} of {}: {subject}", outcome.patches.len()));
            let result = self.one(number, commit, outcome)?;
            if self.lab.stopped() && result.kernel.is_none() {
                return Ok(false);
            }
            let patch = &mut outcome.patches[at];
            (patch.build, patch.tested) = (Some(result.build), result.tested);
            let Some(kernel) = result.kernel else { continue };
            if kernel != last {
                let (before, after) = (&self.tested[last], &self.tested[kernel]);
                let (before, after) = (&before.recorded.run, &after.recorded.run);
                let (meant, wanted) = (self.meant, self.wanted);
                patch.changed = Some(of_patch(before, after, number, against, meant, wanted)?);
            }
            (last, against) = (kernel, number);
        }
        if last != first {
            let (before, after) =
                (&self.tested[first].recorded.run, &self.tested[last].recorded.run);
            outcome.whole = Some(of_series(before, after, against, self.meant, self.wanted)?);
        }
        Ok(true)
    }

    /// Builds a commit, and runs its kernel unless the same image has run.
    fn one(
        &mut self,
        number: usize,
        commit: &Commit,
        outcome: &mut SeriesOutcome,
    ) -> Result<CommitResult, CheckError> {
        let built = match self.lab.build(self.source, commit) {
            Ok(built) => built,
            // A configuration that the base does not take is bad input.
            Err(error) if number == 0 && !matches!(error, BuildError::Failed(_)) => {
                return Err(EngineError::from(error).into());
            }
            Err(error) => {
                let failure = error.into_build_failure(commit, self.source.subject(commit)?);
                let failure = failure.map_err(EngineError::from)?;
                let build = BuildResult::Failed { first: failure.first, log: failure.log };
                return Ok(CommitResult { build, tested: None, kernel: None });
            }
        };
        if let Origin::Tree { fragments, variables, compiler, .. } = &built.kernel.origin {
            outcome.built = BuildSettings {
                config: fragments.clone(),
                make: variables.clone(),
                compiler: compiler.clone(),
            };
        }
        let new_warnings = match &self.warnings {
            Some(before) => new_warnings(before, &built.warnings),
            None => Vec::new(),
        };
        self.warnings = Some(built.warnings);
        let image = built.kernel.identity().to_owned();
        let build = BuildResult::Built { image: image.clone(), new_warnings };
        if let Some(at) = self.tested.iter().position(|known| known.image == image) {
            let known = &self.tested[at];
            self.lab.say("the same kernel as one that ran already");
            let booted = known.boot == BootResult::Booted;
            let tested = Some(TestResult::Same { as_of: known.number });
            return Ok(CommitResult { build, tested, kernel: booted.then_some(at) });
        }
        let recorded = self.lab.run(slice::from_ref(&built.kernel), &self.batch)?;
        if recorded.run.end.as_ref().is_none_or(|end| end.interrupted) {
            return Ok(CommitResult { build, tested: None, kernel: None });
        }
        let RecordedRun { run, record, sha256 } = recorded.clone();
        let ran = KernelRun::of(&run, record, sha256);
        let boot = ran.boot.clone();
        let booted = boot == BootResult::Booted;
        self.tested.push(TestedImage { number, image, recorded, boot });
        let kernel = booted.then_some(self.tested.len() - 1);
        Ok(CommitResult { build, tested: Some(TestResult::Ran(ran)), kernel })
    }
}

/// The new warnings. A patch moves lines, so the line number does not count.
fn new_warnings(before: &BTreeSet<Diagnostic>, after: &BTreeSet<Diagnostic>) -> Vec<Diagnostic> {
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
    fn a_warning_that_moved_is_not_new(
        #[case] before: &[(usize, &str)],
        #[case] after: &[(usize, &str)],
        #[case] count: usize,
    ) {
        assert_eq!(new_warnings(&warnings(before), &warnings(after)).len(), count);
    }
}
