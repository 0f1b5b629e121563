//! Finds the least privilege with which a cell is refused nothing, by evaluating it again.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::caps::{PERFMON, SYS_ADMIN};
use perfsec_wire::{CapSet, Mode};

use crate::allow::{Rule, RuleScope};
use crate::asks::{CallChecks, CheckedThing, Evaluation, Loaded, MadeCheck, SecurityServer};
use crate::case::{Case, Coordinates, Setting};
use crate::grant::{Grant, cap_name};
use crate::policy::{Answer, Answers};
use crate::transcript::{CallResult, Effect};

/// Privileges that a cell has beyond its own policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Privileges {
    /// The file capabilities of its program.
    pub(super) caps: CapSet,
    /// Rules beyond those of its policy.
    pub(super) rules: BTreeMap<RuleScope, Rule>,
}

/// The privileges that a cell needs.
pub(super) enum Least {
    /// With these it is refused nothing, and logs no denial.
    Enough(Privileges),
    /// It is still refused something with every privilege that could help.
    Never,
    /// A capability is missing where the file capabilities of the program do not count.
    NotByGrant(u32),
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

/// Searches the least privileges of a cell in enforcing mode, beginning with these capabilities.
///
/// Adds what answers the question that refused, until nothing is refused, then removes what a later
/// privilege made needless: CAP_SYS_ADMIN passes earlier checks of CAP_PERFMON too. The result is
/// proved: it is what the evaluator computes with these privileges.
pub(super) fn least(case: &Case, at: &Coordinates, setting: &Setting<'_>, caps: CapSet) -> Least {
    let mut found = Privileges { caps, ..Privileges::default() };
    loop {
        let Some(evaluation) = found.evaluate(case, at, setting) else { return Least::Unknown };
        match obstacle(&evaluation) {
            None => return Least::Enough(found.pruned(caps, case, at, setting)),
            Some(Obstacle::Absolute) => return Least::Never,
            Some(Obstacle::Capability(cap)) if found.caps.has(cap) => {
                return Least::NotByGrant(cap);
            }
            Some(Obstacle::Capability(cap)) => found.caps = found.caps.with(CapSet::one(cap)),
            Some(Obstacle::Rule(scope, permissions)) => {
                let rule = found.rules.entry(scope).or_default();
                if permissions.is_subset(&rule.permissions) {
                    return Least::Never;
                }
                rule.permissions.extend(permissions);
            }
        }
    }
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
        let added = (0..u64::BITS).filter(|cap| self.caps.has(*cap) && !stay.has(*cap));
        let fewer_caps = added.map(|cap| {
            let caps = CapSet(self.caps.0 & !CapSet::one(cap).0);
            Self { caps, ..self.clone() }
        });
        let permissions = self.rules.iter().flat_map(|(scope, rule)| {
            rule.permissions.iter().map(move |permission| (scope, permission))
        });
        let fewer_rules = permissions.map(|(scope, permission)| {
            let mut rules = self.rules.clone();
            if let Some(rule) = rules.get_mut(scope) {
                rule.permissions.remove(permission);
            }
            rules.retain(|_, rule| !rule.permissions.is_empty());
            Self { caps: self.caps, rules }
        });
        fewer_caps.chain(fewer_rules).collect()
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
        case.evaluation(&at, &Setting { answers: Some(&server), ..*setting })
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
        if checks.refusing.is_some() {
            let decisive = decisive(checks);
            let of = |check| Obstacle::of(check, &call.effects);
            return Some(decisive.map_or(Obstacle::Absolute, of));
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

/// The check of the refusing question that is to pass: the first, but rather CAP_PERFMON than
/// another capability, as perf-security.rst recommends.
fn decisive(checks: &CallChecks) -> Option<&MadeCheck> {
    let lacks = |check: &MadeCheck| match check.about {
        CheckedThing::Capability { cap, held: false, .. } => Some(cap),
        _ => None,
    };
    let of_question = checks.made.get(checks.refusing?..).unwrap_or_default();
    // `return EACCES if refused`: an earlier question was refused.
    let all = if of_question.is_empty() { &checks.made } else { of_question };
    let refused = || all.iter().filter(|check| !check.passes);
    let first = refused().next()?;
    let perfmon = refused().find(|check| lacks(check) == Some(PERFMON));
    perfmon.filter(|_| lacks(first).is_some()).or(Some(first))
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

/// The privileges that a cell needs if its program loses CAP_SYS_ADMIN; `None` if they include it.
pub(super) fn without_sys_admin(
    case: &Case,
    at: &Coordinates,
    setting: &Setting<'_>,
) -> Option<Privileges> {
    let rest = CapSet(at.grant.0.0 & !CapSet::one(SYS_ADMIN).0);
    match least(case, at, setting, rest) {
        Least::Enough(found) if !found.caps.has(SYS_ADMIN) => Some(found),
        _ => None,
    }
}

/// Policies with further rules.
struct Extended<'a> {
    inner: &'a dyn SecurityServer,
    rules: &'a BTreeMap<RuleScope, Rule>,
}

struct ExtendedAnswers<'a> {
    inner: Box<dyn Answers + 'a>,
    rules: &'a BTreeMap<RuleScope, Rule>,
}

impl SecurityServer for Extended<'_> {
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(ExtendedAnswers { inner: self.inner.answers(loaded), rules: self.rules })
    }

    fn agent_context(&self, loaded: &Loaded, domain: &str) -> String {
        self.inner.agent_context(loaded, domain)
    }

    fn exec_domain(&self, loaded: &Loaded, source: &str) -> Option<String> {
        self.inner.exec_domain(loaded, source)
    }
}

impl Answers for ExtendedAnswers<'_> {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        let answer = self.inner.answer(source, target, class, permission);
        let scope = RuleScope {
            source: source.to_owned(),
            target: target.to_owned(),
            class: class.to_owned(),
        };
        let added =
            self.rules.get(&scope).is_some_and(|rule| rule.permissions.contains(permission));
        Answer { allowed: answer.allowed || added, ..answer }
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
                let Least::Enough(found) = least(case, at, &setting, at.grant.0) else { continue };
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
}
