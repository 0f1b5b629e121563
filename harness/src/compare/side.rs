//! The sides of a comparison: one kernel each, with all lanes in which it ran.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use perfsec_wire::BootMode;

use crate::judge::Verdict;
use crate::kernel::Kernel;
use crate::record::{CellResult, LaneRun, Run};

/// A kernel of a run.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// The record or the kernel, as the user named it.
    pub from: String,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Its lanes.
    pub lanes: Vec<&'a LaneRun>,
    /// True if the run ended, false if it was killed.
    pub whole: bool,
}

/// Identifies a cell on both sides, by policy, boot mode and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellKey<'a> {
    /// Name of the policy; empty if each side has only one.
    pub(super) policy: &'a str,
    boot: BootMode,
    /// The cell's full name.
    pub(super) name: &'a str,
}

/// The sides of a run: one for each kernel; a kernel that ran twice is two sides.
#[must_use]
pub fn sides<'a>(run: &'a Run, from: &str) -> Vec<Side<'a>> {
    let mut lanes: Vec<&LaneRun> = run.lanes.iter().collect();
    lanes.sort_by_key(|lane| lane.started.lane);
    let mut sides: Vec<Side<'a>> = Vec::new();
    for lane in lanes {
        let started = &lane.started;
        let fits = |side: &&mut Side<'a>| {
            let taken = side.lanes.iter().any(|other| {
                (&other.started.policy, other.started.boot) == (&started.policy, started.boot)
            });
            *side.kernel == started.kernel && !taken
        };
        match sides.iter_mut().find(fits) {
            Some(side) => side.lanes.push(lane),
            None => sides.push(Side {
                from: from.to_owned(),
                kernel: &started.kernel,
                lanes: vec![lane],
                whole: run.end.is_some(),
            }),
        }
    }
    sides
}

impl<'a> CellKey<'a> {
    /// The key of a cell; a boot without a policy has none in its key.
    pub(super) fn new(policy: &'a str, boot: BootMode, name: &'a str) -> Self {
        Self { policy: if boot.has_policy() { policy } else { "" }, boot, name }
    }
}

impl<'a> Side<'a> {
    /// Names of the policies under which it ran, with their SHA-256.
    pub(super) fn policies(&self) -> BTreeMap<&'a str, &'a str> {
        let lanes = self.lanes.iter().filter(|lane| lane.started.boot.has_policy());
        lanes.map(|lane| (&*lane.started.policy, &*lane.started.policy_sha256)).collect()
    }

    /// The kernel's version and origin.
    #[must_use]
    pub fn kernel_words(&self) -> String {
        format!("Linux {} ({})", self.kernel.version, self.kernel.origin)
    }

    /// Its cells by their key. For a cell that ran more than once, the worst result.
    pub(super) fn cells(&self, one_policy_each: bool) -> HashMap<CellKey<'a>, &'a CellResult> {
        let mut cells: HashMap<CellKey<'a>, &'a CellResult> = HashMap::new();
        for lane in &self.lanes {
            let started = &lane.started;
            let policy = if one_policy_each { "" } else { started.policy.as_str() };
            for cell in &lane.cells {
                let key = CellKey::new(policy, started.boot, &cell.name);
                let worse = |known: &&CellResult| badness(cell) > badness(known);
                if cells.get(&key).is_none_or(worse) {
                    cells.insert(key, cell);
                }
            }
        }
        cells
    }

    /// True if nothing could be tested in at least one of its lanes.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.refused().is_empty()
    }

    /// The reasons why nothing could be tested in some of its lanes.
    pub(super) fn refused(&self) -> BTreeSet<&'a str> {
        self.lanes.iter().filter_map(|lane| lane.refused()).collect()
    }
}

/// True if each side has at most one policy, so that cells match regardless of its name.
pub(super) fn one_policy_each(a: &Side<'_>, b: &Side<'_>) -> bool {
    a.policies().len() <= 1 && b.policies().len() <= 1
}

fn badness(cell: &CellResult) -> u8 {
    match cell.judgement.verdict {
        Verdict::Skip => 0,
        Verdict::Pass | Verdict::Xfail | Verdict::Xpass => 1,
        Verdict::Miss | Verdict::Error | Verdict::Flaky => 2,
        Verdict::Fail => 3,
    }
}
