//! A cell of a run, and how an agent is told of it.

use std::sync::Arc;

use perfsec_wire::step::{Action, Step};
use perfsec_wire::{BootMode, CapSet, Cell, Process, Subject};

use crate::case::{Case, Coordinates};
use crate::policy::Policy;

/// The `comm` of every subject.
pub const COMM: &str = "subject";

/// How long a subject may take before the agent kills it. Steps take microseconds.
const SUBJECT_LIMIT_MS: u32 = 10_000;

/// As many cells as there are unused contexts.
const CELLS_PER_BOOT: usize = CATEGORY_BLOCK * CATEGORY_BLOCK * CATEGORY_BLOCK;
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

/// The most cells that one boot of this kind can run.
#[must_use]
pub fn cells_per_boot(boot: BootMode) -> usize {
    match boot {
        // What its cell does to the kernel is done to all that follow.
        BootMode::AuditLate => 1,
        _ => CELLS_PER_BOOT,
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
