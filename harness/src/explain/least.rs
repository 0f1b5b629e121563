//! Finds what a refused cell needs, by evaluating it again with every change.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::caps::SYS_ADMIN;
use perfsec_wire::{CapSet, Lockdown, Mode, Step};

use super::edit::{Edit, edits};
use crate::allow::{Extended, Rule, RuleScope};
use crate::asks::{CheckedThing, Evaluation, MadeCheck, decisive};
use crate::case::{Case, Coordinates, Setting};
use crate::grant::{Grant, cap_constant, cap_name};
use crate::transcript::{CallResult, Effect};

/// Privileges that a cell has beyond its own policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Privileges {
    /// The file capabilities of its program.
    pub(super) caps: CapSet,
    /// Capabilities on the file of the program that it executes last, beyond those of the case.
    pub(super) executed: CapSet,
    /// Rules beyond those of its policy.
    pub(super) rules: BTreeMap<RuleScope, Rule>,
}

/// Changes with which a cell is refused nothing, and logs no denial.
#[derive(Clone, Debug)]
pub(super) struct Advice {
    /// Changes of what the case does; one of the lists is enough.
    pub(super) edits: Vec<Edit>,
    /// The privileges.
    pub(super) privileges: Privileges,
}

/// The privileges that a cell needs.
pub(super) enum Least {
    /// Each of these is enough. The first has the fewest changes of the case.
    Enough(Vec<Advice>),
    /// It is still refused something with everything that could help, for this reason.
    Nothing(String),
}

/// The result of a search with the steps as they are.
enum Search {
    Enough(Privileges),
    /// A capability is missing where the file capabilities of the program do not count.
    NotByGrant(u32),
    /// A refusal that no privilege lifts.
    Never,
    /// The case states what the cell sees, and not why.
    Unknown,
}

/// The first obstacle of a cell.
enum Obstacle {
    /// A capability is missing.
    Capability(u32),
    /// The policy denies permissions.
    Rule(RuleScope, BTreeSet<String>),
    /// A refusal that no privilege lifts.
    Absolute,
}

/// Searches what a cell needs in enforcing mode, beginning with these capabilities: privileges, or
/// else changes of what the case does as well. Each is proved: it is what the evaluator computes
/// with it.
pub(super) fn least(case: &Case, at: &Coordinates, setting: &Setting<'_>, caps: CapSet) -> Least {
    let found = search(case, at, setting, caps);
    if let Search::Enough(privileges) = found {
        return Least::Enough(vec![Advice { edits: Vec::new(), privileges }]);
    }
    if let Search::Unknown = found {
        return Least::Nothing(
            "the case states what this cell sees in enforcing mode, so nothing can be derived"
                .to_owned(),
        );
    }
    let all = edits(case, at);
    let with = |chosen: &[&Edit]| {
        let (mut changed, mut at) = (case.clone(), at.clone());
        let edits: Vec<_> = chosen.iter().map(|&edit| edit.clone()).collect();
        apply(&edits, &mut changed, &mut at);
        let Search::Enough(privileges) = search(&changed, &at, setting, caps) else { return None };
        Some(Advice { edits, privileges })
    };
    let single: Vec<_> = all.iter().filter_map(|edit| with(&[edit])).collect();
    if !single.is_empty() {
        return Least::Enough(unlike(single));
    }
    let pairs = all
        .iter()
        .enumerate()
        .flat_map(|(at, one)| all.iter().skip(at + 1).map(move |other| [one, other]));
    let together = pairs.into_iter().find_map(|pair| with(&pair));
    // Everything that the process gave up at once.
    let together = together.or_else(|| with(&all.iter().collect::<Vec<_>>()));
    match together {
        Some(advice) => Least::Enough(vec![advice]),
        None => Least::Nothing(reason(case, &found)),
    }
}

/// Applies changes to a case. Those that add steps come last, from the end.
fn apply(edits: &[Edit], case: &mut Case, at: &mut Coordinates) {
    let adds = |edit: &&Edit| matches!(edit, Edit::Ambient(_));
    edits.iter().filter(|edit| !adds(edit)).for_each(|edit| edit.apply(case, at));
    edits.iter().rev().filter(adds).for_each(|edit| edit.apply(case, at));
}

/// Of the levels, only the highest; of the rest, each.
fn unlike(all: Vec<Advice>) -> Vec<Advice> {
    let mut level = false;
    let mut keep = |advice: &Advice| match advice.edits.as_slice() {
        [Edit::Level(_)] => !std::mem::replace(&mut level, true),
        _ => true,
    };
    all.into_iter().filter(|advice| keep(advice)).collect()
}

/// Why nothing helps.
fn reason(case: &Case, found: &Search) -> String {
    if case.lockdown != Lockdown::None {
        return format!("nothing helps: lockdown {} refuses this to every process", case.lockdown);
    }
    match found {
        Search::NotByGrant(cap) => format!(
            "nothing helps: the kernel asks for {} where the process cannot have it. The case \
             says: {}",
            cap_constant(*cap),
            case.title
        ),
        _ => format!(
            "nothing helps: neither a capability nor SELinux is behind this refusal. The case says: \
             {}",
            case.title
        ),
    }
}

/// Searches the least privileges with the steps as they are.
///
/// Adds what answers the question that refused, until nothing is refused, then removes what a later
/// privilege made needless: CAP_SYS_ADMIN passes earlier checks of CAP_PERFMON too.
fn search(case: &Case, at: &Coordinates, setting: &Setting<'_>, caps: CapSet) -> Search {
    let mut found = Privileges { caps, ..Privileges::default() };
    loop {
        let Some(evaluation) = found.evaluate(case, at, setting) else { return Search::Unknown };
        match obstacle(&evaluation) {
            None => return Search::Enough(found.pruned(caps, case, at, setting)),
            Some(Obstacle::Absolute) => return Search::Never,
            Some(Obstacle::Capability(cap)) => {
                let one = CapSet::one(cap);
                if !found.caps.has(cap) {
                    found.caps = found.caps.with(one);
                } else if executes(case) && !found.executed.has(cap) {
                    found.executed = found.executed.with(one);
                } else {
                    return Search::NotByGrant(cap);
                }
            }
            Some(Obstacle::Rule(scope, permissions)) => {
                let rule = found.rules.entry(scope).or_default();
                if permissions.is_subset(&rule.permissions) {
                    return Search::Never;
                }
                rule.permissions.extend(permissions);
            }
        }
    }
}

fn executes(case: &Case) -> bool {
    case.steps.iter().any(|step| matches!(step, Step::Execve(_)))
}

impl Privileges {
    /// Removes every privilege beyond these capabilities without which nothing is refused either.
    fn pruned(self, caps: CapSet, case: &Case, at: &Coordinates, setting: &Setting<'_>) -> Self {
        let is_enough = |fewer: &Self| {
            fewer.evaluate(case, at, setting).is_some_and(|found| obstacle(&found).is_none())
        };
        match self.without_one(caps).into_iter().find(is_enough) {
            Some(fewer) => fewer.pruned(caps, case, at, setting),
            None => self,
        }
    }

    /// The same with one privilege less, in every way. These capabilities stay.
    fn without_one(&self, stay: CapSet) -> Vec<Self> {
        let less = |set: CapSet, cap: u32| CapSet(set.0 & !CapSet::one(cap).0);
        let numbers = |set: CapSet| (0..u64::BITS).filter(move |cap| set.has(*cap));
        let added = numbers(self.caps).filter(|cap| !stay.has(*cap));
        let fewer_caps = added.map(|cap| Self { caps: less(self.caps, cap), ..self.clone() });
        let fewer_executed = numbers(self.executed)
            .map(|cap| Self { executed: less(self.executed, cap), ..self.clone() });
        let permissions = self.rules.iter().flat_map(|(scope, rule)| {
            rule.permissions.iter().map(move |permission| (scope, permission))
        });
        let fewer_rules = permissions.map(|(scope, permission)| {
            let mut rules = self.rules.clone();
            if let Some(rule) = rules.get_mut(scope) {
                rule.permissions.remove(permission);
            }
            rules.retain(|_, rule| !rule.permissions.is_empty());
            Self { rules, ..self.clone() }
        });
        fewer_caps.chain(fewer_executed).chain(fewer_rules).collect()
    }

    /// Evaluates the cell in enforcing mode with these privileges; `None` if the case states its
    /// expectation.
    fn evaluate(&self, case: &Case, at: &Coordinates, setting: &Setting<'_>) -> Option<Evaluation> {
        let mode = match at.mode {
            Mode::Disabled => Mode::Disabled,
            Mode::Enforcing | Mode::Permissive => Mode::Enforcing,
        };
        let at = Coordinates { grant: Grant(self.caps), mode, ..at.clone() };
        let server = Extended { inner: case.server(setting), rules: &self.rules };
        let setting = Setting { answers: Some(&server), ..*setting };
        if self.executed.is_empty() {
            return case.evaluation(&at, &setting);
        }
        let mut case = case.clone();
        let last = case.steps.iter_mut().rev().find_map(|step| match step {
            Step::Execve(file) => Some(file),
            _ => None,
        });
        if let Some(file) = last {
            file.permitted = file.permitted.with(self.executed);
        }
        case.evaluation(&at, &setting)
    }
}

/// The first thing that is refused or logged as denied.
fn obstacle(evaluation: &Evaluation) -> Option<Obstacle> {
    let transcript = evaluation.transcript.least();
    let calls = transcript.transcript().calls.iter().zip(&evaluation.checks);
    for (call, checks) in calls {
        let denied = |check: &&MadeCheck| !denied_permissions(check, &call.effects).is_empty();
        let refused =
            matches!(call.head.result(), Some(CallResult::Error(errno)) if errno.is_denial());
        if let Some(first) = checks.refusing {
            let of_question = checks.made.get(first..).unwrap_or_default();
            // `return EACCES if refused`: an earlier question was refused.
            let all = if of_question.is_empty() { &checks.made } else { of_question };
            let of = |check| Obstacle::of(check, &call.effects);
            return Some(decisive(all).map_or(Obstacle::Absolute, of));
        }
        if refused {
            return Some(Obstacle::Absolute);
        }
        // Let through by a permissive domain, or a refusal that does not end the call.
        if let Some(check) = checks.made.iter().find(denied) {
            return Some(Obstacle::of(check, &call.effects));
        }
    }
    None
}

impl Obstacle {
    fn of(check: &MadeCheck, effects: &[Effect]) -> Self {
        let scope = |target: &str, class: &str| RuleScope {
            source: check.domain.clone(),
            target: target.to_owned(),
            class: class.to_owned(),
        };
        match &check.about {
            CheckedThing::Capability { cap, held: false, .. } => Self::Capability(*cap),
            CheckedThing::Capability { cap, class, .. } => {
                Self::Rule(scope(&check.domain, class), BTreeSet::from([cap_name(*cap)]))
            }
            CheckedThing::Permissions { target, class, permissions } => {
                let logged = denied_permissions(check, effects);
                let all = || permissions.iter().cloned().collect();
                Self::Rule(scope(target, class), if logged.is_empty() { all() } else { logged })
            }
        }
    }
}

/// The permissions in the denial that a check logs.
fn denied_permissions(check: &MadeCheck, effects: &[Effect]) -> BTreeSet<String> {
    let logged = effects.get(check.lines.clone()).unwrap_or_default();
    let denials = logged.iter().filter_map(|effect| match effect {
        Effect::Avc(avc) if avc.verb == "denied" => Some(&avc.permissions),
        _ => None,
    });
    denials.flatten().cloned().collect()
}

/// The privileges that a cell needs if its program loses CAP_SYS_ADMIN; `None` if they include it,
/// or if the case has to change.
pub(super) fn without_sys_admin(
    case: &Case,
    at: &Coordinates,
    setting: &Setting<'_>,
) -> Option<Privileges> {
    let rest = CapSet(at.grant.0.0 & !CapSet::one(SYS_ADMIN).0);
    match search(case, at, setting, rest) {
        Search::Enough(found) if !found.caps.has(SYS_ADMIN) => Some(found),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::caps::SYS_PTRACE;

    use super::*;
    use crate::case::{Case, Circumstances, Library};
    use crate::kernel::KernelVersion;

    /// Where a larger grant of the case succeeds in the same domain at the same level, the advice
    /// has no rule, and adds no more capabilities. CAP_SYS_ADMIN and CAP_SYS_PTRACE do not count:
    /// one of them may stand for several others, and gives far more.
    #[test]
    fn no_grant_of_a_case_succeeds_with_less_than_the_advice() {
        let kernel = Circumstances::hypothetical(KernelVersion::new(6, 12, 117), Some("debian"));
        let setting = Setting::from(kernel);
        let (mut compared, mut needless) = (0, BTreeSet::new());
        // The agent is undumpable, which its model is not.
        let modelled = |case: &&Case| case.name != "creds/first-process";
        for case in Library::built_in().unwrap().cases.iter().filter(modelled) {
            let enforcing = |at: &Coordinates| at.mode == Mode::Enforcing;
            let cells: Vec<_> = case.axes.coordinates().filter(enforcing).collect();
            let clean: Vec<_> = cells
                .iter()
                .filter(|at| {
                    case.evaluation(at, &setting).is_some_and(|it| obstacle(&it).is_none())
                })
                .collect();
            for at in &cells {
                let Search::Enough(found) = search(case, at, &setting, at.grant.0) else {
                    continue;
                };
                let added = |caps: CapSet| (caps.0 & !at.grant.0.0).count_ones();
                let larger = clean.iter().filter(|other| {
                    let powerful =
                        [SYS_ADMIN, SYS_PTRACE].iter().any(|cap| other.grant.0.has(*cap));
                    let has_all = at.grant.0.0 & !other.grant.0.0 == 0;
                    let same_place = (&other.domain, other.paranoid) == (&at.domain, at.paranoid);
                    same_place && has_all && !powerful
                });
                for other in larger {
                    compared += 1;
                    if !found.rules.is_empty() || added(found.caps) > added(other.grant.0) {
                        needless.insert(format!("{} against {}", case.cell_name(at), other.grant));
                    }
                }
            }
        }
        assert!(compared > 100, "{compared}");
        assert_eq!(needless, BTreeSet::new());
    }

    /// True if a call of a cell fails for lack of a privilege.
    fn is_refused(case: &Case, at: &Coordinates, setting: &Setting<'_>) -> bool {
        let expected = case.expected(at, setting).least();
        let mut calls = expected.transcript().calls.iter();
        calls.any(|call| call.head.result().is_some_and(CallResult::is_denial))
    }

    /// The advice for every refused cell leads to an evaluation in which nothing is refused, or the
    /// answer says that nothing helps. Where the suite has a cell with the advised capabilities,
    /// nothing is refused there either.
    #[test]
    fn no_advice_is_given_that_does_not_help() {
        let kernel = Circumstances::hypothetical(KernelVersion::new(6, 12, 117), Some("debian"));
        let setting = Setting::from(kernel);
        let (mut advised, mut nothing, mut checked) = (0, BTreeMap::new(), 0);
        for case in &Library::built_in().unwrap().cases {
            let met = case.unmet_requirement(&kernel).is_none();
            for at in case.axes.coordinates().filter(|_| met) {
                if !is_refused(case, &at, &setting) {
                    continue;
                }
                let name = case.cell_name(&at);
                let found = match least(case, &at, &setting, at.grant.0) {
                    Least::Enough(found) => found,
                    Least::Nothing(why) => {
                        nothing.entry(why).or_insert_with(Vec::new).push(name);
                        continue;
                    }
                };
                advised += 1;
                for advice in &found {
                    let (mut changed, mut there) = (case.clone(), at.clone());
                    apply(&advice.edits, &mut changed, &mut there);
                    let again = advice.privileges.evaluate(&changed, &there, &setting).unwrap();
                    assert!(obstacle(&again).is_none() && !again.refuses, "{name}: {advice:?}");
                    let added = advice.privileges.caps.0 & !at.grant.0.0 != 0;
                    let more = !advice.edits.is_empty()
                        || !advice.privileges.rules.is_empty()
                        || !advice.privileges.executed.is_empty();
                    assert!(added || more, "{name}: nothing but what is held: {advice:?}");
                    let caps_alone = advice.edits.is_empty()
                        && advice.privileges.rules.is_empty()
                        && advice.privileges.executed.is_empty();
                    let with = Coordinates { grant: Grant(advice.privileges.caps), ..at.clone() };
                    if caps_alone && case.axes.coordinates().any(|other| other == with) {
                        checked += 1;
                        assert!(!is_refused(case, &with, &setting), "{name} with {}", with.grant);
                    }
                }
            }
        }
        assert!(advised > 500 && checked > 80, "{advised} advised, {checked} checked");
        let hopeless: usize = nothing.values().map(Vec::len).sum();
        assert!(hopeless < 100, "{advised} advised, {checked} checked, {nothing:#?}");
    }
}
