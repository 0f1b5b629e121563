//! Cells that ask a policy for its answers.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use perfsec_wire::{BootMode, CapSet, Lockdown, Mode, Step};
use sha2::{Digest, Sha256};

use super::PlannedCell;
use crate::case::{Axes, COMM, Case, Coordinates, Level, Library};
use crate::grant::Grant;
use crate::policy::{self, Access};

/// Name of the case of a run's own policy; that of another is below it.
const NAME: &str = "policy/answers";

/// `kernel.perf_event_paranoid` meanwhile, which does not matter: the kernel's default.
const PARANOID: Level = Level::Set(2);

/// The cells that ask for the answers that `cells` of a boot mode need, one for each of their
/// policies that none of them asks yet.
#[must_use]
pub fn answers(boot: BootMode, cells: &[PlannedCell], classes: &[String]) -> Vec<PlannedCell> {
    if !boot.has_policy() {
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut asked: BTreeMap<_, (&Case, BTreeSet<_>)> = BTreeMap::new();
    let cells = cells.iter().filter(|cell| cell.case.unfit.is_none());
    let (performed, asking): (Vec<_>, Vec<_>) = cells.partition(|cell| cell.asks.is_empty());
    for PlannedCell { case, at, .. } in performed {
        if seen.insert((&case.name, &at.domain)) {
            let (_, asks) =
                asked.entry(case.policy.as_deref()).or_insert_with(|| (&**case, BTreeSet::new()));
            asks.extend(accesses(case, &at.domain, classes));
        }
    }
    asked.retain(|policy, _| asking.iter().all(|cell| cell.case.policy.as_deref() != *policy));
    let cells = asked.into_iter();
    cells.map(|(policy, (like, asks))| cell(like, policy, asks.into_iter().collect())).collect()
}

/// The cell that asks a run's own policy about these accesses; `None` if the library has no case
/// that boots with a policy.
#[must_use]
pub fn question(library: &Library, accesses: Vec<Access>) -> Option<PlannedCell> {
    let like = library.cases.iter().find(|case| case.boot == BootMode::Selinux)?;
    Some(cell(like, None, accesses))
}

/// True for the case of such a cell.
pub(crate) fn is_answers(case: &str) -> bool {
    case.strip_prefix(NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The accesses about which the kernel may ask a policy in the cells of a case with this domain.
fn accesses(case: &Case, domain: &str, classes: &[String]) -> BTreeSet<Access> {
    let entered = case.steps.iter().filter_map(|step| match step {
        Step::Setexeccon(step) => Some(step.domain.as_str()),
        _ => None,
    });
    let sources: BTreeSet<_> = entered.chain([domain]).collect();
    let processes = case.processes.iter().map(|process| process.domain.as_str());
    let targets: BTreeSet<_> =
        sources.iter().copied().chain(processes).chain([policy::KERNEL]).collect();
    let mut all = BTreeSet::new();
    for source in sources {
        let mut ask = |target: &str, class: &str| {
            all.insert(Access::new(source, target, class));
        };
        if !policy::is_context(domain) {
            ask(policy::OBJECT, "file");
        }
        for target in &targets {
            classes.iter().for_each(|class| ask(target, class));
        }
    }
    all
}

/// The cell that asks about a policy. What a case needs in common with others comes from `like`.
fn cell(like: &Case, policy: Option<&str>, asks: Vec<Access>) -> PlannedCell {
    let at = Coordinates {
        domain: policy::KERNEL.to_owned(),
        paranoid: PARANOID,
        grant: Grant(CapSet::EMPTY),
        mode: Mode::Permissive,
    };
    let text = perfsec_cases::domains().to_owned();
    let case = Case {
        name: policy.map_or(NAME.to_owned(), |policy| format!("{NAME}/{policy}")),
        path: PathBuf::from("cases/policies/domains.toml"),
        sha256: crate::hex(&Sha256::digest(&text)),
        text,
        title: "the kernel's security server answers as the policy says".to_owned(),
        source: vec!["security/selinux/ss/services.c, context_struct_compute_av()".to_owned()],
        axes: Axes {
            domain: vec![at.domain.clone()],
            paranoid: vec![at.paranoid],
            grant: vec![at.grant],
            mode: vec![at.mode],
        },
        policy: policy.map(str::to_owned),
        audit: true,
        lockdown: Lockdown::None,
        limit: None,
        uid: 0,
        comm: COMM.to_owned(),
        processes: Vec::new(),
        sysctls: BTreeMap::new(),
        given: Vec::new(),
        steps: Vec::new(),
        questions: Some(Vec::new()),
        refused: BTreeSet::new(),
        when: BTreeMap::new(),
        messages: Vec::new(),
        records: Vec::new(),
        requires: Vec::new(),
        only_ours: None,
        unfit: None,
        control: None,
        expects: Vec::new(),
        ..like.clone()
    };
    PlannedCell { case: Arc::new(case), at, control: None, asks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Library;
    use crate::plan::Filter;

    fn asked(names: &[&str]) -> Vec<(String, Vec<Access>)> {
        let library = Library::built_in().unwrap();
        let names = names.iter().map(ToString::to_string).collect();
        let cells = Filter { names, ..Filter::default() }.select(&library).unwrap();
        let cells = answers(BootMode::Selinux, &cells, &policy::classes().unwrap());
        cells.into_iter().map(|cell| (cell.case.name.clone(), cell.asks)).collect()
    }

    #[test]
    fn each_policy_is_asked_what_its_own_cells_need() {
        let asked = asked(&["event/read/no_read_t", "policy/legacy-class-deny"]);
        let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["policy/answers", "policy/answers/legacy-class-deny"]);
        assert!(names.iter().all(|name| is_answers(name)));
        let asks = |target: &str, class: &str| {
            asked[0].1.contains(&Access::new("no_read_t", target, class))
        };
        assert!(asks("no_read_t", "perf_event") && asks("kernel_t", "fd"));
        assert!(asks("object_t", "file") && !asks("object_t", "fd"));
    }

    #[test]
    fn nothing_is_asked_without_a_policy() {
        let library = Library::built_in().unwrap();
        let cells = Filter::default().select(&library).unwrap();
        assert!(answers(BootMode::NoPolicy, &cells, &["file".to_owned()]).is_empty());
        assert!(answers(BootMode::Selinux, &[], &["file".to_owned()]).is_empty());
    }
}
