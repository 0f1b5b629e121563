//! A planned cell, and the form in which it is sent to the agent.

use std::sync::Arc;
use std::time::Duration;

use perfsec_wire::answers::Party;
use perfsec_wire::step::{Action, Step};
use perfsec_wire::{CapSet, Cell, Process, Question, Subject};

use crate::case::{COMM, Case, Coordinates, Level};
use crate::policy::{Access, KERNEL, OBJECT, Policy};

/// The number of contexts. No two cells of a boot may have the same.
pub const CONTEXTS: usize = CATEGORY_BLOCK * CATEGORY_BLOCK * CATEGORY_BLOCK;
const CATEGORY_BLOCK: usize = 20;

/// A cell of a run.
#[derive(Clone, Debug)]
pub struct PlannedCell {
    /// Its case.
    pub case: Arc<Case>,
    /// Its position on the axes of the case.
    pub at: Coordinates,
    /// Index in the lane of its control, which must pass. Controls come first.
    pub control: Option<usize>,
    /// Accesses about which it asks the policy, instead of performing steps; empty in a cell of a
    /// case file.
    pub asks: Vec<Access>,
}

impl PlannedCell {
    /// Its full name: `CASE/DOMAIN/paranoid=LEVEL/GRANT/MODE`.
    #[must_use]
    pub fn name(&self) -> String {
        self.case.cell_name(&self.at)
    }

    /// True if no cell can follow it in its guest: it enables audit, which cannot be undone.
    #[must_use]
    pub fn ends_guest(&self) -> bool {
        self.case.steps.iter().any(|step| matches!(step, Step::Agent(Action::AuditEnable)))
    }

    /// The cell in the form that is sent to the agent: number `id` of its lane, with the context of
    /// this number (below [`CONTEXTS`]), under `policy`. The agent kills its subject after `limit`.
    #[must_use]
    pub fn wire(&self, id: usize, context: usize, policy: &Policy, limit: Duration) -> Cell {
        let case = &self.case;
        let mut sysctls: Vec<_> = case.sysctls.clone().into_iter().collect();
        if let Level::Set(value) = self.at.paranoid {
            sysctls.push(("kernel.perf_event_paranoid".to_owned(), value.to_string()));
        }
        let has_policy = case.boot.has_policy();
        let subject = |uid: u32, grant: CapSet, domain: &str, comm: &str| Subject {
            uid,
            grant,
            context: match has_policy {
                true => policy.context(domain, &categories(context)),
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
            questions: self.asks.iter().map(|access| question(access, policy)).collect(),
            limit_ms: limit.as_millis().try_into().unwrap_or(u32::MAX),
        }
    }
}

/// An access in contexts. Their categories are those of any cell: no policy may depend on them.
fn question(access: &Access, policy: &Policy) -> Question {
    let party = |name: &str| match name {
        KERNEL => Party::Agent,
        OBJECT => Party::Context(policy.file_context()),
        domain => Party::Context(policy.context(domain, &categories(0))),
    };
    let (source, target) = (party(&access.source), party(&access.target));
    Question { source, target, class: access.class.clone() }
}

/// Three categories that no other `number` below [`CONTEXTS`] has. Each comes from a block of
/// its own, so that the kernel never prints a range: `mls_sid_to_context()` joins runs of three.
fn categories(number: usize) -> String {
    let digit = |place: u32| number / CATEGORY_BLOCK.pow(place) % CATEGORY_BLOCK;
    let (first, second, third) = (digit(0), digit(1), digit(2));
    format!("c{first},c{},c{}", CATEGORY_BLOCK + second, 2 * CATEGORY_BLOCK + third)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_numbers_have_the_same_categories() {
        let all: BTreeSet<_> = (0..CONTEXTS).map(categories).collect();
        assert_eq!(all.len(), CONTEXTS);
        assert_eq!(categories(0), "c0,c20,c40");
        assert_eq!(categories(CONTEXTS - 1), "c19,c39,c59");
    }
}
