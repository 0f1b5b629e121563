//! Judges a run against an earlier one: only what got worse since then is bad.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{Comparison, NothingInCommon, named};
use super::group::{CellSet, Cells, Group, id};
use super::side::{CellKey, Side, sides};
use super::text::Writer;
use crate::counted::counted;
use crate::judge::Verdict;
use crate::kernel::Kernel;
use crate::record::{CellResult, Run};
use crate::text::Text;

/// An earlier run, to judge others against.
#[derive(Debug)]
pub struct Baseline<'a> {
    sides: Vec<Side<'a>>,
}

/// A run cannot be judged against a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// The baseline has several kernels, and none is the obvious one.
    #[error(
        "judge Linux {kernel} against the baseline {from}: it has several kernels ({kernels}), and \
         none of them is the obvious one; give a baseline of one kernel, or of series {series}"
    )]
    Ambiguous {
        /// The baseline, as the user named it.
        from: String,
        /// Version of the kernel under test.
        kernel: String,
        /// Series of the kernel under test, such as `6.12`.
        series: String,
        /// Versions of the baseline's kernels, separated by commas.
        kernels: String,
    },
    /// The baseline has no cell with a result.
    #[error("judge against the baseline {0}: it has no result")]
    Empty(String),
    /// The run and the baseline have no cell in common.
    #[error(transparent)]
    NothingInCommon(#[from] NothingInCommon),
}

/// The cells of one kernel, sorted by what became of them since the baseline.
#[derive(Debug)]
pub struct BaselineComparison<'a> {
    base: Side<'a>,
    now: Side<'a>,
    transitions: BTreeMap<Transition, CellSet<'a>>,
    all: CellSet<'a>,
    comparison: Option<Comparison>,
}

/// The change in a cell's verdict since the baseline. Changes for the worse come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Transition {
    /// It fails and did not fail before.
    Failure,
    /// It fails, and its case was changed.
    FailureOfChangedCase,
    /// It fails, and the baseline does not have it.
    FailureOfNewCell,
    /// It was judged before and is not judged now; the reason.
    Lost(String),
    /// It behaves differently on repetition, and did not before.
    Flaky,
    /// It failed before and does not fail now.
    Fixed,
    /// The observation differs; the verdict, which is the same on both.
    Changed(Verdict),
    /// It was judged before and is skipped now; the reason.
    Skipped(String),
    /// It fails as it did before.
    StillFailing,
    /// It was not judged before either.
    StillUnjudged,
    /// Its case was changed, so it is not compared.
    ChangedCase,
    /// The baseline does not have it, and it does not fail.
    New,
    /// Only the baseline has it: this run was not asked for it.
    Gone,
    /// Nothing changed.
    Same,
}

impl Transition {
    fn is_worse(&self) -> bool {
        *self < Self::Fixed
    }

    /// A description of the cells; `None` if there is nothing to report.
    fn heading(&self) -> Option<String> {
        Some(match self {
            Self::Failure => "new failures".to_owned(),
            Self::FailureOfChangedCase => "failures of cases that were changed since".to_owned(),
            Self::FailureOfNewCell => {
                "failures of cells that the baseline does not have".to_owned()
            }
            Self::Lost(why) => format!("lost, {why}"),
            Self::Flaky => "different on repetition (FLAKY), unlike before".to_owned(),
            Self::Fixed => "fixed".to_owned(),
            Self::Changed(verdict) => format!("something else was seen, {verdict} as before"),
            Self::Skipped(why) => format!("skipped, unlike before: {why}"),
            Self::StillFailing => "still failing".to_owned(),
            Self::StillUnjudged => "not judged, as before".to_owned(),
            Self::ChangedCase => "not compared, because the case was changed since".to_owned(),
            Self::New => "no failure, and no result in the baseline".to_owned(),
            Self::Gone => "in the baseline only".to_owned(),
            Self::Same => return None,
        })
    }

    /// The transition of a cell that both have.
    fn of(base: &CellResult, now: &CellResult) -> Self {
        let (before, after) = (&base.judgement, &now.judgement);
        let changed = base.case_sha256 != now.case_sha256;
        let reason = || after.reason.clone().unwrap_or_else(|| "no reason".to_owned());
        match (before.verdict, after.verdict) {
            (Verdict::Fail, Verdict::Fail) if changed => Self::ChangedCase,
            (Verdict::Fail, Verdict::Fail) if before.observed == after.observed => {
                Self::StillFailing
            }
            (Verdict::Fail, Verdict::Fail) => Self::Changed(Verdict::Fail),
            (_, Verdict::Fail) if changed => Self::FailureOfChangedCase,
            (_, Verdict::Fail) => Self::Failure,
            (old, new @ (Verdict::Error | Verdict::Miss)) if old.judged() => {
                Self::Lost(format!("{new}: {}", reason()))
            }
            (old, Verdict::Flaky) if old != Verdict::Flaky => Self::Flaky,
            (_, Verdict::Flaky | Verdict::Error | Verdict::Miss) => Self::StillUnjudged,
            _ if changed => Self::ChangedCase,
            (old, Verdict::Skip) if old.judged() => Self::Skipped(reason()),
            (_, Verdict::Skip) => Self::Same,
            (Verdict::Fail, _) => Self::Fixed,
            (old, _) if !old.judged() => Self::New,
            (_, new) if before.observed != after.observed => Self::Changed(new),
            _ => Self::Same,
        }
    }

    /// The transition of a cell that the baseline does not have.
    fn from_new(now: &CellResult) -> Self {
        match now.judgement.verdict {
            Verdict::Fail => Self::FailureOfNewCell,
            Verdict::Flaky => Self::Flaky,
            Verdict::Error | Verdict::Miss => Self::StillUnjudged,
            _ => Self::New,
        }
    }
}

impl<'a> Baseline<'a> {
    /// Uses a run as a baseline; `from` is how the user named it.
    ///
    /// # Errors
    ///
    /// If it has no result.
    pub fn new(run: &'a Run, from: &str) -> Result<Self, BaselineError> {
        let sides = sides(run, from);
        match run.cells().next() {
            Some(_) => Ok(Self { sides }),
            None => Err(BaselineError::Empty(from.to_owned())),
        }
    }

    /// The kernel to compare with: the same one, else one of the same release, else one of the same
    /// series, else the only one.
    ///
    /// # Errors
    ///
    /// If that leaves several.
    pub fn partner(&self, kernel: &Kernel) -> Result<&Side<'a>, BaselineError> {
        let series = kernel.version.series();
        let fits: [&dyn Fn(&Kernel) -> bool; 4] = [
            &|other| other.identity() == kernel.identity(),
            &|other| other.release == kernel.release && other.version == kernel.version,
            &|other| other.version.series() == series,
            &|_| true,
        ];
        for fits in fits {
            let found: Vec<_> = self.sides.iter().filter(|side| fits(side.kernel)).collect();
            match found.as_slice() {
                [] => {}
                // One kernel that ran several times is not ambiguous: the last run counts.
                [.., last] if found.iter().all(|side| side.kernel == last.kernel) => {
                    return Ok(last);
                }
                _ => break,
            }
        }
        let versions = self.sides.iter().map(|side| side.kernel.version.to_string());
        Err(BaselineError::Ambiguous {
            from: self.sides.first().map(|side| side.from.clone()).unwrap_or_default(),
            kernel: kernel.version.to_string(),
            series: format!("{}.{}", series.0, series.1),
            kernels: versions.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", "),
        })
    }

    /// The number of these cells that the baseline has: cells about to run on `kernel` under this
    /// policy and boot.
    ///
    /// # Errors
    ///
    /// If the kernel has no partner in the baseline.
    pub fn count_known(
        &self,
        kernel: &Kernel,
        lane: &str,
        boot: perfsec_wire::BootMode,
        names: impl Iterator<Item = String>,
    ) -> Result<usize, BaselineError> {
        let known = self.partner(kernel)?.cells(false);
        let names: Vec<String> = names.collect();
        Ok(names.iter().filter(|name| known.contains_key(&CellKey::new(lane, boot, name))).count())
    }

    /// The error for a run that has no cell in common with the baseline.
    #[must_use]
    pub fn nothing_in_common(&self) -> BaselineError {
        let b = "this run".to_owned();
        let a = self.sides.first().map(named).unwrap_or_default();
        NothingInCommon::of(a, b).into()
    }

    /// Compares a run with the baseline, kernel by kernel.
    ///
    /// # Errors
    ///
    /// If a kernel has no partner in the baseline.
    pub fn since(&self, run: &'a Run) -> Result<Vec<BaselineComparison<'a>>, BaselineError> {
        sides(run, "this run")
            .into_iter()
            .map(|now| Ok(BaselineComparison::of(self.partner(now.kernel)?, now)))
            .collect()
    }
}

impl<'a> BaselineComparison<'a> {
    fn of(base: &Side<'a>, now: Side<'a>) -> Self {
        let (before, after) = (base.cells(false), now.cells(false));
        let mut transitions: BTreeMap<Transition, CellSet<'a>> = BTreeMap::new();
        let mut all = CellSet::new();
        let mut put = |transition: Transition, key: &CellKey<'a>, cell: &'a CellResult| {
            all.insert((key.policy, id(cell)));
            transitions.entry(transition).or_default().insert((key.policy, id(cell)));
        };
        for (key, cell) in &after {
            let transition = before
                .get(key)
                .map_or_else(|| Transition::from_new(cell), |old| Transition::of(old, cell));
            put(transition, key, cell);
        }
        for (key, cell) in before.iter().filter(|(key, _)| !after.contains_key(key)) {
            put(Transition::Gone, key, cell);
        }
        let comparison = Comparison::of(base, &now, &|_, _| true).ok();
        Self { base: base.clone(), now, transitions, all, comparison }
    }

    /// Number of cells that got worse.
    #[must_use]
    pub fn worse(&self) -> usize {
        let worse = self.transitions.iter().filter(|(transition, _)| transition.is_worse());
        worse.map(|(_, cells)| cells.len()).sum()
    }

    /// Number of cells that got worse and now fail.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failures = self
            .transitions
            .iter()
            .filter(|(transition, _)| **transition < Transition::Lost(String::new()));
        failures.map(|(_, cells)| cells.len()).sum()
    }

    /// A text for a terminal.
    #[must_use]
    pub fn text(&self) -> Text {
        let mut out = Writer { out: Text::new(), verbose: false };
        let versions = (self.base.kernel.version, self.now.kernel.version);
        out.line(
            0,
            &format!(
                "since the baseline {} (A, Linux {}), this run (B, Linux {}):",
                self.base.from, versions.0, versions.1
            ),
        );
        for note in self.comparison.iter().flat_map(|comparison| &comparison.notes) {
            out.line(2, &format!("note: {note}"));
        }
        for (transition, named) in &self.transitions {
            let Some(heading) = transition.heading() else { continue };
            out.line(2, &format!("{heading}: {}", counted(named.len(), "cell")));
            let groups = self.groups(transition);
            match groups.iter().map(|group| group.cells.count).sum::<usize>() == named.len() {
                // The groups name the cells.
                true => {}
                false if named.len() * 2 > self.all.len() => continue,
                false => out.cells(4, &Cells::of(named, &self.all)),
            }
            for (number, group) in groups.iter().enumerate() {
                let Some(comparison) = &self.comparison else { continue };
                out.group(number + 1, group, comparison);
            }
            if !groups.is_empty() {
                out.out.end();
            }
        }
        match self.worse() {
            0 => out.line(2, "nothing got worse"),
            count => out.line(2, &format!("{} got worse", counted(count, "cell"))),
        }
        out.out
    }

    /// The groups of the comparison that show this transition.
    fn groups(&self, transition: &Transition) -> Vec<&Group> {
        let Some(comparison) = &self.comparison else { return Vec::new() };
        let is = |group: &&Group| {
            let (a, b) = (group.verdict_a, group.verdict_b);
            match transition {
                Transition::Failure => b == Verdict::Fail && a != Verdict::Fail,
                Transition::Flaky => b == Verdict::Flaky,
                Transition::Fixed => {
                    a == Verdict::Fail && !matches!(b, Verdict::Fail | Verdict::Flaky)
                }
                Transition::Changed(verdict) => {
                    b == *verdict
                        && (a == Verdict::Fail) == (b == Verdict::Fail)
                        && !group.diff.is_empty()
                }
                _ => false,
            }
        };
        comparison.groups.iter().filter(is).collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::record::Event;

    /// A record of a real run, on 6.1 and on 7.3.
    fn record() -> Run {
        let text = include_str!("../../tests/report/run.jsonl");
        Run::of(text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap())).unwrap()
    }

    /// The same, on 6.1 only.
    fn one_kernel() -> Run {
        let mut run = record();
        run.lanes.truncate(1);
        run
    }

    fn cell<'a>(run: &'a mut Run, name: &str) -> &'a mut CellResult {
        let mut cells = run.lanes.iter_mut().flat_map(|lane| &mut lane.cells);
        cells.find(|cell| cell.name.starts_with(name)).unwrap()
    }

    const PASSES: &str = "open/cpu/all_t/paranoid=2/none/permissive";
    const FAILS: &str = "open/wrong/none_t/paranoid=2/none/permissive";
    const ERRS: &str = "host/loses/";
    const SKIPS: &str = "host/requires/";

    fn verdict(name: &str, verdict: Verdict) -> impl Fn(&mut Run) + '_ {
        move |run| cell(run, name).judgement.verdict = verdict
    }

    fn sees(name: &str) -> impl Fn(&mut Run) + '_ {
        move |run| cell(run, name).judgement.observed.push("  cap bpf = granted")
    }

    fn changed(name: &str, then: Verdict) -> impl Fn(&mut Run) + '_ {
        move |run| {
            let cell = cell(run, name);
            (cell.case_sha256, cell.judgement.verdict) = ("another".to_owned(), then);
        }
    }

    fn removed(name: &str) -> impl Fn(&mut Run) + '_ {
        move |run| run.lanes[0].cells.retain(|cell| !cell.name.starts_with(name))
    }

    fn nothing(_: &mut Run) {}

    #[rstest]
    #[case::same(&nothing, &nothing, 0, "nothing got worse")]
    #[case::failure(&nothing, &verdict(PASSES, Verdict::Fail), 1, "new failures: 1 cell")]
    #[case::failure_of_what_was_skipped(
        &nothing,
        &verdict(SKIPS, Verdict::Fail),
        1,
        "new failures: 1 cell"
    )]
    #[case::failure_of_what_was_lost(
        &nothing,
        &verdict(ERRS, Verdict::Fail),
        1,
        "new failures: 1 cell"
    )]
    #[case::fixed(&nothing, &verdict(FAILS, Verdict::Pass), 0, "fixed: 1 cell")]
    #[case::known(&nothing, &verdict(FAILS, Verdict::Xfail), 0, "fixed: 1 cell")]
    #[case::still(&nothing, &nothing, 0, "still failing: 7 cells")]
    #[case::passes_otherwise(
        &nothing,
        &sees(PASSES),
        0,
        "something else was seen, PASS as before: 1 cell"
    )]
    #[case::fails_otherwise(
        &nothing,
        &sees(FAILS),
        0,
        "something else was seen, FAIL as before: 1 cell"
    )]
    #[case::lost(&nothing, &verdict(PASSES, Verdict::Miss), 1, "lost, MISS: no reason: 1 cell")]
    #[case::flaky(
        &nothing,
        &verdict(PASSES, Verdict::Flaky),
        1,
        "different on repetition (FLAKY), unlike before: 1 cell"
    )]
    #[case::flaky_as_before(
        &verdict(PASSES, Verdict::Flaky),
        &verdict(PASSES, Verdict::Flaky),
        0,
        "not judged, as before: 2 cells"
    )]
    #[case::new_and_flaky(
        &removed(PASSES),
        &verdict(PASSES, Verdict::Flaky),
        1,
        "different on repetition (FLAKY), unlike before: 1 cell"
    )]
    #[case::failed_and_lost(
        &nothing,
        &verdict(FAILS, Verdict::Error),
        1,
        "lost, ERROR: no reason: 1 cell"
    )]
    #[case::lost_before(&nothing, &nothing, 0, "not judged, as before: 1 cell")]
    #[case::skipped(
        &nothing,
        &verdict(PASSES, Verdict::Skip),
        0,
        "skipped, unlike before: no reason: 1 cell"
    )]
    #[case::changed(
        &nothing,
        &changed(PASSES, Verdict::Pass),
        0,
        "the case was changed since: 1 cell"
    )]
    #[case::changed_and_fails(
        &nothing,
        &changed(PASSES, Verdict::Fail),
        1,
        "failures of cases that were changed since: 1 cell"
    )]
    #[case::changed_and_still_fails(
        &nothing,
        &changed(FAILS, Verdict::Fail),
        0,
        "the case was changed since: 1 cell"
    )]
    #[case::gone(&nothing, &removed(PASSES), 0, "in the baseline only: 1 cell")]
    #[case::new(&removed(PASSES), &nothing, 0, "no failure, and no result in the baseline: 1 cell")]
    #[case::new_and_fails(
        &removed(FAILS),
        &nothing,
        1,
        "failures of cells that the baseline does not have: 1 cell"
    )]
    fn each_transition_of_a_cell_has_a_heading(
        #[case] of_base: &dyn Fn(&mut Run),
        #[case] of_now: &dyn Fn(&mut Run),
        #[case] worse: usize,
        #[case] words: &str,
    ) {
        let (mut base, mut now) = (one_kernel(), one_kernel());
        of_base(&mut base);
        of_now(&mut now);
        let since = Baseline::new(&base, "last.jsonl").unwrap().since(&now).unwrap();
        let text = since[0].text().plain();
        assert_eq!((since.len(), since[0].worse()), (1, worse), "{text}");
        assert!(text.contains(words), "{text}");
        let end = if worse == 0 { "nothing got worse" } else { "1 cell got worse" };
        assert!(text.trim_end().ends_with(end), "{text}");
    }

    #[test]
    fn a_new_failure_is_shown_with_a_guess_at_its_cause() {
        let (base, mut now) = (one_kernel(), one_kernel());
        verdict(PASSES, Verdict::Fail)(&mut now);
        sees(PASSES)(&mut now);
        let since = Baseline::new(&base, "last.jsonl").unwrap().since(&now).unwrap();
        let text = since[0].text().plain();
        assert!(text.contains("perf_event_open: CAP_BPF is now checked"), "{text}");
        assert!(text.contains("PASS on A, FAIL on B"), "{text}");
    }

    #[rstest]
    #[case("6.1.192", "6.1.0-56-amd64", Some("6.1.192"))]
    #[case("6.1.195", "6.1.0-57-amd64", Some("6.1.192"))]
    #[case("7.3.9", "7.3.9", Some("7.3.4"))]
    #[case("6.12.1", "6.12.1", None)]
    fn a_kernel_has_the_partner_that_is_nearest(
        #[case] version: &str,
        #[case] release: &str,
        #[case] expected: Option<&str>,
    ) {
        let run = record();
        let mut kernel = run.lanes[0].started.kernel.clone();
        kernel.version = version.parse().unwrap();
        kernel.release = release.to_owned();
        kernel.image.as_mut().unwrap().sha256 = "of another build".to_owned();
        let baseline = Baseline::new(&run, "last.jsonl").unwrap();
        match (baseline.partner(&kernel), expected) {
            (Ok(side), expected) => {
                assert_eq!(Some(side.kernel.version.to_string().as_str()), expected)
            }
            (Err(error), None) => {
                let error = error.to_string();
                assert!(
                    error.contains("(6.1.192, 7.3.4)") && error.contains("series 6.12"),
                    "{error}"
                );
            }
            (Err(error), Some(_)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_baseline_of_one_kernel_is_the_partner_of_every_kernel() {
        let (base, now) = (one_kernel(), record());
        let baseline = Baseline::new(&base, "last.jsonl").unwrap();
        assert_eq!(baseline.since(&now).unwrap().len(), 2);
    }

    #[test]
    fn cells_are_found_by_policy_boot_and_name() {
        let run = record();
        let baseline = Baseline::new(&run, "last.jsonl").unwrap();
        let kernel = &run.lanes[0].started.kernel;
        let boot = run.lanes[0].started.boot;
        let known = |policy: &str, boot, name: &str| {
            baseline.count_known(kernel, policy, boot, std::iter::once(name.to_owned())).unwrap()
        };
        assert_eq!(known("minimal", boot, PASSES), 1);
        assert_eq!(known("another", boot, PASSES), 0);
        assert_eq!(known("minimal", perfsec_wire::BootMode::NoAudit, PASSES), 0);
        assert_eq!(known("minimal", boot, "open/cpu/absent"), 0);
    }

    #[test]
    fn a_run_without_a_result_is_no_baseline() {
        let mut run = record();
        run.lanes.clear();
        assert!(matches!(Baseline::new(&run, "last.jsonl"), Err(BaselineError::Empty(_))));
    }
}
