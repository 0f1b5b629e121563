//! Judging a run against an earlier one: only what got worse since is bad.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{Cells, Comparison, Group, Named, NothingInCommon, id, named};
use super::side::{Key, Side, sides};
use super::text::{Text, cells};
use crate::judge::Verdict;
use crate::kernel::Kernel;
use crate::record::{CellResult, Run};

/// An earlier run.
#[derive(Debug)]
pub struct Baseline<'a> {
    sides: Vec<Side<'a>>,
}

/// Why a run cannot be judged against a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// It has several kernels, and none is the obvious one.
    #[error(
        "judge Linux {kernel} against the baseline {from}: it has several kernels ({kernels}), and which one \
         is meant is not plain; give a baseline that was made of one kernel, or of series {series}"
    )]
    Ambiguous {
        /// The baseline.
        from: String,
        /// The version of the kernel that is tested.
        kernel: String,
        /// Its series.
        series: String,
        /// The versions of the kernels that there are.
        kernels: String,
    },
    /// It has no lane.
    #[error("judge against the baseline {0}: it has no result")]
    Empty(String),
    /// Nothing that is tested is in it.
    #[error(transparent)]
    NothingInCommon(#[from] NothingInCommon),
}

/// What became of the cells of one kernel since the baseline.
#[derive(Debug)]
pub struct Since<'a> {
    base: Side<'a>,
    now: Side<'a>,
    turns: BTreeMap<Turn, Named<'a>>,
    all: Named<'a>,
    comparison: Option<Comparison>,
}

/// What became of a cell. What got worse comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// It fails, and did not.
    Failure,
    /// It fails, and its case was changed.
    FailureOfChangedCase,
    /// It fails, and the baseline did not have it.
    FailureOfNewCell,
    /// It was judged, and is not; why.
    Lost(String),
    /// It failed, and does not.
    Fixed,
    /// Something else was seen; the verdict on both.
    Changed(Verdict),
    /// It was judged, and is skipped; why.
    Skipped(String),
    /// It fails, as it did.
    StillFailing,
    /// It could not be judged before either.
    StillUnjudged,
    /// Its case was changed.
    ChangedCase,
    /// The baseline did not have it.
    New,
    /// The baseline had it, and this run was not asked for it.
    Gone,
    /// Nothing is to be told of it.
    Same,
}

impl Turn {
    fn is_worse(&self) -> bool {
        *self <= Self::Lost(char::MAX.to_string())
    }

    fn words(&self) -> Option<String> {
        Some(match self {
            Self::Failure => "new failures".to_owned(),
            Self::FailureOfChangedCase => "failures of cases that were changed since".to_owned(),
            Self::FailureOfNewCell => "failures of cells that the baseline does not have".to_owned(),
            Self::Lost(why) => format!("lost, {why}"),
            Self::Fixed => "fixed".to_owned(),
            Self::Changed(verdict) => format!("something else was seen, {verdict} as before"),
            Self::Skipped(why) => format!("skipped, unlike before: {why}"),
            Self::StillFailing => "still failing".to_owned(),
            Self::StillUnjudged => "not judged, as before".to_owned(),
            Self::ChangedCase => "of cases that were changed since, not compared".to_owned(),
            Self::New => "that the baseline has no result of, passing or skipped".to_owned(),
            Self::Gone => "of the baseline that this run was not asked for".to_owned(),
            Self::Same => return None,
        })
    }

    /// What became of a cell that both have.
    fn of(base: &CellResult, now: &CellResult) -> Self {
        let (before, after) = (&base.judgement, &now.judgement);
        let changed = base.case_sha256 != now.case_sha256;
        let reason = || after.reason.clone().unwrap_or_else(|| "no reason".to_owned());
        match (before.verdict, after.verdict) {
            (Verdict::Fail, Verdict::Fail) if changed => Self::ChangedCase,
            (Verdict::Fail, Verdict::Fail) if before.observed == after.observed => Self::StillFailing,
            (Verdict::Fail, Verdict::Fail) => Self::Changed(Verdict::Fail),
            (_, Verdict::Fail) if changed => Self::FailureOfChangedCase,
            (_, Verdict::Fail) => Self::Failure,
            (old, new @ (Verdict::Error | Verdict::Miss)) if old.judged() => {
                Self::Lost(format!("{new}: {}", reason()))
            }
            (_, Verdict::Error | Verdict::Miss) => Self::StillUnjudged,
            _ if changed => Self::ChangedCase,
            (old, Verdict::Skip) if old.judged() => Self::Skipped(reason()),
            (_, Verdict::Skip) => Self::Same,
            (Verdict::Fail, _) => Self::Fixed,
            (old, _) if !old.judged() => Self::New,
            (_, new) if before.observed != after.observed => Self::Changed(new),
            _ => Self::Same,
        }
    }

    /// What became of a cell that the baseline does not have.
    fn of_new(now: &CellResult) -> Self {
        match now.judgement.verdict {
            Verdict::Fail => Self::FailureOfNewCell,
            Verdict::Error | Verdict::Miss => Self::StillUnjudged,
            _ => Self::New,
        }
    }
}

impl<'a> Baseline<'a> {
    /// A run as a baseline; `from` is how the user named it.
    ///
    /// # Errors
    ///
    /// When it has no result.
    pub fn new(run: &'a Run, from: &str) -> Result<Self, BaselineError> {
        let sides = sides(run, from);
        match run.cells().next() {
            Some(_) => Ok(Self { sides }),
            None => Err(BaselineError::Empty(from.to_owned())),
        }
    }

    /// The kernel to compare with: the one of the same release, else of the same series, else the only one.
    ///
    /// # Errors
    ///
    /// When that leaves several.
    pub fn partner(&self, kernel: &Kernel) -> Result<&Side<'a>, BaselineError> {
        let series = kernel.version.series();
        let fits: [&dyn Fn(&Kernel) -> bool; 4] = [
            &|other| other.sha256 == kernel.sha256,
            &|other| other.release == kernel.release && other.version == kernel.version,
            &|other| other.version.series() == series,
            &|_| true,
        ];
        for fits in fits {
            let found: Vec<_> = self.sides.iter().filter(|side| fits(side.kernel)).collect();
            match found.as_slice() {
                [] => {}
                // One kernel that ran twice, under other policies or otherwise, is not ambiguous: the last run counts.
                [.., last] if found.iter().all(|side| side.kernel == last.kernel) => return Ok(last),
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

    /// That cells of these names, which are about to run on `kernel` under this policy and boot, have a partner.
    ///
    /// # Errors
    ///
    /// When the kernel has none.
    pub fn has(
        &self,
        kernel: &Kernel,
        lane: &str,
        boot: perfsec_wire::Boot,
        names: impl Iterator<Item = String>,
    ) -> Result<usize, BaselineError> {
        let known = self.partner(kernel)?.cells(false);
        let names: Vec<String> = names.collect();
        Ok(names.iter().filter(|name| known.contains_key(&Key::new(lane, boot, name))).count())
    }

    /// The error when nothing that is to be run is in it.
    #[must_use]
    pub fn nothing_in_common(&self) -> BaselineError {
        let b = "this run".to_owned();
        let a = self.sides.first().map(named).unwrap_or_default();
        NothingInCommon { a, b }.into()
    }

    /// What became of the cells of a run, kernel by kernel.
    ///
    /// # Errors
    ///
    /// When a kernel has no partner.
    pub fn since(&self, run: &'a Run) -> Result<Vec<Since<'a>>, BaselineError> {
        sides(run, "this run").into_iter().map(|now| Ok(Since::of(self.partner(now.kernel)?, now))).collect()
    }
}

impl<'a> Since<'a> {
    fn of(base: &Side<'a>, now: Side<'a>) -> Self {
        let (before, after) = (base.cells(false), now.cells(false));
        let mut turns: BTreeMap<Turn, Named<'a>> = BTreeMap::new();
        let mut all = Named::new();
        let mut put = |turn: Turn, key: &Key<'a>, cell: &'a CellResult| {
            all.insert((key.policy, id(cell)));
            turns.entry(turn).or_default().insert((key.policy, id(cell)));
        };
        for (key, cell) in &after {
            let turn = before.get(key).map_or_else(|| Turn::of_new(cell), |old| Turn::of(old, cell));
            put(turn, key, cell);
        }
        for (key, cell) in before.iter().filter(|(key, _)| !after.contains_key(key)) {
            put(Turn::Gone, key, cell);
        }
        let comparison = Comparison::of(base, &now, &|_, _| true).ok();
        Self { base: base.clone(), now, turns, all, comparison }
    }

    /// How many cells got worse.
    #[must_use]
    pub fn worse(&self) -> usize {
        let worse = self.turns.iter().filter(|(turn, _)| turn.is_worse());
        worse.map(|(_, cells)| cells.len()).sum()
    }

    /// How many of them fail now.
    #[must_use]
    pub fn failures(&self) -> usize {
        let failures = self.turns.iter().filter(|(turn, _)| **turn < Turn::Lost(String::new()));
        failures.map(|(_, cells)| cells.len()).sum()
    }

    /// For people, with ANSI styles.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = Text { out: String::new(), verbose: false };
        let versions = (self.base.kernel.version, self.now.kernel.version);
        let kernels = match versions.0 == versions.1 {
            true => format!("Linux {}", versions.1),
            false => format!("Linux {}, then {}", versions.1, versions.0),
        };
        out.line(0, &format!("since the baseline {} ({kernels}):", self.base.from));
        if !self.base.whole {
            out.line(2, "the run of the baseline did not end, so it lacks cells");
        }
        for (turn, named) in &self.turns {
            let Some(words) = turn.words() else { continue };
            out.line(2, &format!("{}: {words}", cells(named.len())));
            let groups = self.groups(turn);
            match groups.iter().map(|group| group.cells.count).sum::<usize>() == named.len() {
                // The groups say which cells it is.
                true => {}
                false if named.len() * 2 > self.all.len() => continue,
                false => out.cells(4, &Cells::of(named, &self.all)),
            }
            for (number, group) in groups.iter().enumerate() {
                let Some(comparison) = &self.comparison else { continue };
                out.group(number + 1, group, comparison);
            }
            if !groups.is_empty() {
                out.out.push('\n');
            }
        }
        match self.worse() {
            0 => out.line(2, "nothing got worse"),
            count => out.line(2, &format!("{} got worse", cells(count))),
        }
        out.out
    }

    /// The groups of cells that differ which are of this kind.
    fn groups(&self, turn: &Turn) -> Vec<&Group> {
        let Some(comparison) = &self.comparison else { return Vec::new() };
        let is = |group: &&Group| {
            let (a, b) = (group.verdict_a, group.verdict_b);
            match turn {
                Turn::Failure => b == Verdict::Fail && a != Verdict::Fail,
                Turn::Fixed => a == Verdict::Fail && b != Verdict::Fail,
                Turn::Changed(verdict) => {
                    b == *verdict && (a == Verdict::Fail) == (b == Verdict::Fail) && !group.diff.is_empty()
                }
                _ => false,
            }
        };
        comparison.groups.iter().filter(is).collect()
    }
}
