//! What a run will do: lanes of cells, chosen before anything boots.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use perfsec_wire::step::{Action, Step};
use perfsec_wire::{Boot, CapSet, Cell, Job, Lane, Mode, PROTOCOL, Process, Subject};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Coordinates, Library};
use crate::grant::Grant;
use crate::policy::Policy;

/// The `comm` of every subject.
pub const COMM: &str = "subject";

/// How long a subject may take before the agent kills it. Steps take microseconds.
const SUBJECT_LIMIT_MS: u32 = 10_000;

/// The most cells that one boot can run: as many as there are unused contexts.
pub const CELLS_PER_BOOT: usize = CATEGORY_BLOCK * CATEGORY_BLOCK * CATEGORY_BLOCK;
const CATEGORY_BLOCK: usize = 20;

/// A cell of a run.
#[derive(Clone, Debug)]
pub struct PlannedCell {
    /// Its case.
    pub case: Arc<Case>,
    /// Which cell of it.
    pub at: Coordinates,
    /// Index, in the lane, of the control that must have passed; controls come first.
    pub control: Option<usize>,
}

/// Which cells a run is about; an empty list selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Globs on cell names; a name without a glob's characters selects what begins with it.
    pub names: Vec<String>,
    /// Grants.
    pub grants: Vec<Grant>,
    /// Modes.
    pub modes: Vec<Mode>,
}

/// A filter that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is no glob on cell names")]
pub struct FilterError {
    glob: String,
    source: globset::Error,
}

impl PlannedCell {
    /// Its full name.
    #[must_use]
    pub fn name(&self) -> String {
        self.case.cell_name(&self.at)
    }

    /// The policies that it needs besides the run's own.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        let processes = self.case.processes.iter().flat_map(|process| &process.steps);
        let steps = self.case.given.iter().chain(&self.case.steps).chain(processes);
        let loaded = steps.filter_map(|step| match step {
            Step::Agent(Action::LoadPolicy(name)) => Some(name.as_str()),
            _ => None,
        });
        self.case.policy.as_deref().into_iter().chain(loaded)
    }

    /// The cell as the agent gets it: number `id` of its lane, with the `fresh`th context of its boot, under
    /// `policy`.
    #[must_use]
    pub fn wire(&self, id: usize, fresh: usize, policy: &Policy) -> Cell {
        let case = &self.case;
        let mut sysctls: Vec<_> = case.sysctls.clone().into_iter().collect();
        sysctls.push(("kernel.perf_event_paranoid".to_owned(), self.at.paranoid.to_string()));
        let has_policy = case.boot.has_policy();
        let subject = |uid: u32, grant: CapSet, domain: &str, comm: &str| Subject {
            uid,
            grant,
            context: match has_policy {
                true => policy.context(domain, &categories(fresh)),
                false => String::new(),
            },
            comm: comm.to_owned(),
        };
        let processes = case.processes.iter().map(|process| Process {
            name: process.name.clone(),
            subject: subject(process.uid, process.grant.0, &process.domain, COMM),
            steps: process.steps.clone(),
        });
        Cell {
            id: id as u32,
            mode: self.at.mode,
            policy: has_policy.then(|| policy.file_name()),
            audit: case.audit,
            lockdown: case.lockdown,
            sysctls,
            subject: subject(case.uid, self.at.grant.0, &self.at.domain, &case.comm),
            processes: processes.collect(),
            given: self.case.given.clone(),
            steps: self.case.steps.clone(),
            limit_ms: SUBJECT_LIMIT_MS,
        }
    }
}

/// Three categories that no other `number` below [`CELLS_PER_BOOT`] has, one from each of three blocks
/// so that the kernel never writes them as a range (`mls_sid_to_context()` joins runs of three).
fn categories(number: usize) -> String {
    let digit = |place: u32| number / CATEGORY_BLOCK.pow(place) % CATEGORY_BLOCK;
    let (first, second, third) = (digit(0), digit(1), digit(2));
    format!("c{first},c{},c{}", CATEGORY_BLOCK + second, 2 * CATEGORY_BLOCK + third)
}

/// What an agent is told for one boot.
#[must_use]
pub fn lane(boot: Boot, policy: &Policy, job: Job) -> Lane {
    let policy = boot.has_policy().then(|| policy.file_name());
    Lane { protocol: PROTOCOL, boot, policy, job, coverage: None }
}

/// The cells of each way to boot a kernel, in the order in which they are best run: a lockdown can only
/// be raised, and to load another policy takes time.
#[must_use]
pub fn by_boot(cells: &[PlannedCell]) -> Vec<(Boot, Vec<PlannedCell>)> {
    let of = |boot: Boot| {
        let mut chosen: Vec<usize> =
            (0..cells.len()).filter(|at| cells[*at].case.boot == boot).collect();
        // Controls first: those of a cell may be in another case.
        chosen.sort_by_key(|at| {
            let PlannedCell { case, control, .. } = &cells[*at];
            (case.lockdown, control.is_some(), case.policy.as_deref())
        });
        take(cells, &chosen)
    };
    let lanes = Boot::ALL.map(|boot| (boot, of(boot)));
    lanes.into_iter().filter(|(_, cells)| !cells.is_empty()).collect()
}

/// Every cell so many times, one whole round after another.
#[must_use]
pub fn repeated(cells: Vec<PlannedCell>, times: usize) -> Vec<PlannedCell> {
    let count = cells.len();
    let round = |round: usize| {
        cells.iter().map(move |cell| PlannedCell {
            control: cell.control.map(|control| control + round * count),
            ..cell.clone()
        })
    };
    (0..times).flat_map(round).collect()
}

/// The cells in an order that only `seed` determines; controls stay before the cells that need them.
#[must_use]
pub fn shuffled(cells: &[PlannedCell], seed: u64) -> Vec<PlannedCell> {
    let mut order: Vec<usize> = (0..cells.len()).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order.sort_by_key(|at| cells[*at].control.is_some());
    take(cells, &order)
}

/// Those cells, in that order; their controls are among them.
fn take(cells: &[PlannedCell], order: &[usize]) -> Vec<PlannedCell> {
    let mut places = vec![None; cells.len()];
    for (place, at) in order.iter().enumerate() {
        places[*at] = Some(place);
    }
    let one = |at: &usize| PlannedCell {
        control: cells[*at].control.and_then(|control| places[control]),
        ..cells[*at].clone()
    };
    order.iter().map(one).collect()
}

/// Gives cells their controls in other cases, which are added if they were not selected.
fn controls_elsewhere(cells: &mut Vec<PlannedCell>, library: &Library) {
    let mut places: HashMap<String, usize> =
        cells.iter().enumerate().map(|(at, cell)| (cell.name(), at)).collect();
    for index in 0..cells.len() {
        let (case, at) = (Arc::clone(&cells[index].case), cells[index].at.clone());
        let Some((other, at)) = library.control_elsewhere(&case, &at) else { continue };
        let place = *places.entry(other.cell_name(&at)).or_insert_with(|| {
            cells.push(PlannedCell { case: Arc::new(other.clone()), at, control: None });
            cells.len() - 1
        });
        cells[index].control = Some(place);
    }
}

impl Filter {
    /// The cells that it selects, with the controls of those that expect a denial, controls first.
    ///
    /// # Errors
    ///
    /// When a name is no glob.
    pub fn select(&self, library: &Library) -> Result<Vec<PlannedCell>, FilterError> {
        let names = self.globs()?;
        let mut cells: Vec<PlannedCell> = Vec::new();
        for case in &library.cases {
            let case = Arc::new(case.clone());
            let wanted = |at: &Coordinates| {
                (self.grants.is_empty() || self.grants.contains(&at.grant))
                    && (self.modes.is_empty() || self.modes.contains(&at.mode))
                    && (self.names.is_empty() || names.is_match(case.cell_name(at)))
            };
            let chosen: Vec<_> = case.axes.coordinates().filter(wanted).collect();
            let controls: Vec<_> = chosen.iter().filter_map(|at| case.control(at)).collect();
            let mut all: Vec<_> = chosen.into_iter().chain(controls).collect();
            let mut places: HashMap<Coordinates, usize> = HashMap::new();
            all.sort_by_key(|at| case.expects_denial(at));
            for at in all {
                if places.contains_key(&at) {
                    continue;
                }
                let control = case.control(&at).and_then(|control| places.get(&control).copied());
                places.insert(at.clone(), cells.len());
                cells.push(PlannedCell { case: Arc::clone(&case), at, control });
            }
        }
        controls_elsewhere(&mut cells, library);
        Ok(cells)
    }

    fn globs(&self) -> Result<GlobSet, FilterError> {
        let mut set = GlobSetBuilder::new();
        for name in &self.names {
            let is_glob = name.contains(['*', '?', '[', '{']);
            let glob = if is_glob { name.clone() } else { format!("{name}*") };
            let error = |source| FilterError { glob: name.clone(), source };
            set.add(GlobBuilder::new(&glob).build().map_err(error)?);
        }
        set.build().map_err(|source| FilterError { glob: self.names.join(" "), source })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_cells_of_a_boot_share_a_context() {
        let all: BTreeSet<_> = (0..CELLS_PER_BOOT).map(categories).collect();
        assert_eq!(all.len(), CELLS_PER_BOOT);
        assert_eq!(categories(0), "c0,c20,c40");
        assert_eq!(categories(CELLS_PER_BOOT - 1), "c19,c39,c59");
    }
}
