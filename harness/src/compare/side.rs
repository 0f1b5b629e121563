//! The sides of a comparison: one kernel each, with all the lanes that it ran.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use perfsec_wire::Boot;

use crate::judge::Verdict;
use crate::kernel::Kernel;
use crate::record::{CellResult, LaneRun, Run};

/// A kernel of a run.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// Where it comes from, as the user named it.
    pub from: String,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Its lanes.
    pub lanes: Vec<&'a LaneRun>,
    /// Whether the run lived to see its end.
    pub whole: bool,
}

/// What a cell is called on either side: policy, boot, name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CellKey<'a> {
    /// The policy's name; empty where the sides have one each.
    pub(super) policy: &'a str,
    boot: Boot,
    /// The cell's full name.
    pub(super) name: &'a str,
}

/// The sides that a run has: one for each kernel; one that ran twice is two.
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
    /// A cell's; a kernel without a policy has no policy in its name.
    pub(super) fn new(policy: &'a str, boot: Boot, name: &'a str) -> Self {
        Self { policy: if boot.has_policy() { policy } else { "" }, boot, name }
    }
}

impl<'a> Side<'a> {
    /// The policies that it ran under, with their SHA-256.
    pub(super) fn policies(&self) -> BTreeMap<&'a str, &'a str> {
        let lanes = self.lanes.iter().filter(|lane| lane.started.boot.has_policy());
        lanes.map(|lane| (&*lane.started.policy, &*lane.started.policy_sha256)).collect()
    }

    /// The kernel in a few words.
    #[must_use]
    pub fn kernel_words(&self) -> String {
        format!("Linux {} ({})", self.kernel.version, self.kernel.origin)
    }

    /// Its cells by what both sides call them. Of a cell that ran more than once, the worst result.
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

    /// Whether nothing could be tested in one of its lanes.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.refused().is_empty()
    }

    /// Lanes in which nothing could be tested, with the reasons.
    pub(super) fn refused(&self) -> BTreeSet<&'a str> {
        self.lanes.iter().filter_map(|lane| lane.refused()).collect()
    }
}

/// Whether the two have one policy each, so that they can be compared whatever it is called.
pub(super) fn one_policy_each(a: &Side<'_>, b: &Side<'_>) -> bool {
    a.policies().len() <= 1 && b.policies().len() <= 1
}

fn badness(cell: &CellResult) -> u8 {
    match cell.judgement.verdict {
        Verdict::Skip => 0,
        Verdict::Pass | Verdict::Xfail | Verdict::Xpass => 1,
        Verdict::Miss | Verdict::Error => 2,
        Verdict::Fail => 3,
    }
}
