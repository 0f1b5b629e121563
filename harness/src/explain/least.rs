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

/// One privilege.
enum Need {
    Capability(u32),
    Rule(RuleScope, BTreeSet<String>),
}

/// Searches the least privileges of a cell in enforcing mode, beginning with these capabilities.
///
/// Adds what answers the question that refused, until nothing is refused. The result is proved: it
/// is what the evaluator computes with these privileges.
pub(super) fn least(case: &Case, at: &Coordinates, setting: &Setting<'_>, caps: CapSet) -> Least {
    let mut found = Privileges { caps, ..Privileges::default() };
    loop {
        let Some(evaluation) = found.evaluate(case, at, setting) else { return Least::Unknown };
        let need = match missing(&evaluation) {
            None => return Least::Enough(found),
            Some(None) => return Least::Never,
            Some(Some(need)) => need,
        };
        match need {
            Need::Capability(cap) if found.caps.has(cap) => return Least::NotByGrant(cap),
            Need::Capability(cap) => found.caps = found.caps.with(CapSet::one(cap)),
            Need::Rule(scope, permissions) => {
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

/// The first thing that is refused or logged as denied, and the privilege that lifts it, if one can.
fn missing(evaluation: &Evaluation) -> Option<Option<Need>> {
    let transcript = evaluation.transcript.least();
    let calls = transcript.transcript().calls.iter().zip(&evaluation.checks);
    for (call, checks) in calls {
        let denied = |check: &&MadeCheck| !denied_permissions(check, &call.effects).is_empty();
        let refused =
            matches!(call.head.result(), Some(CallResult::Error(errno)) if errno.is_denial());
        if checks.refusing.is_some() {
            return Some(decisive(checks).map(|check| Need::of(check, &call.effects)));
        }
        if refused {
            return Some(None);
        }
        // Let through by a permissive domain, or a refusal that does not end the call.
        if let Some(check) = checks.made.iter().find(denied) {
            return Some(Some(Need::of(check, &call.effects)));
        }
    }
    None
}

/// The check of the refusing question that is to pass: the first, but rather CAP_PERFMON than
/// another capability, as perf-security.rst recommends.
fn decisive(checks: &CallChecks) -> Option<&MadeCheck> {
    let is_missing = |check: &MadeCheck, wanted: fn(u32) -> bool| matches!(check.about, CheckedThing::Capability { cap, held: false, .. } if wanted(cap));
    let of_question = checks.made.get(checks.refusing?..).unwrap_or_default();
    // `return EACCES if refused`: an earlier question was refused.
    let all = if of_question.is_empty() { &checks.made } else { of_question };
    let refused = || all.iter().filter(|check| !check.passes);
    let first = refused().next()?;
    let perfmon = refused().find(|check| is_missing(check, |cap| cap == PERFMON));
    perfmon.filter(|_| is_missing(first, |_| true)).or(Some(first))
}

impl Need {
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

/// True if the privileges replace CAP_SYS_ADMIN.
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

    fn agent_context(&self, loaded: &Loaded) -> String {
        self.inner.agent_context(loaded)
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
    use super::*;
    use crate::case::{Circumstances, Library};
    use crate::kernel::KernelVersion;

    /// The advice has no privilege too many: without any one of them something is refused, or
    /// logged as denied.
    #[test]
    fn no_cell_needs_fewer_privileges_than_the_advice_has() {
        let kernel = Circumstances::hypothetical(KernelVersion::new(6, 12, 117), Some("debian"));
        let setting = Setting::from(kernel);
        let (mut proved, mut needless) = (0, BTreeSet::new());
        for case in &Library::built_in().unwrap().cases {
            for at in case.axes.coordinates() {
                let Least::Enough(found) = least(case, &at, &setting, at.grant.0) else { continue };
                let added = (0..64).filter(|cap| found.caps.has(*cap) && !at.grant.0.has(*cap));
                let fewer_caps = added.map(|cap| Privileges {
                    caps: CapSet(found.caps.0 & !CapSet::one(cap).0),
                    ..found.clone()
                });
                let permissions = found.rules.iter().flat_map(|(scope, rule)| {
                    rule.permissions.iter().map(move |name| (scope, name))
                });
                let fewer_rules = permissions.map(|(scope, name)| {
                    let mut fewer = found.clone();
                    if let Some(rule) = fewer.rules.get_mut(scope) {
                        rule.permissions.remove(name);
                    }
                    fewer
                });
                for fewer in fewer_caps.chain(fewer_rules) {
                    proved += 1;
                    let evaluation = fewer.evaluate(case, &at, &setting).unwrap();
                    if missing(&evaluation).is_none() {
                        needless.insert(case.cell_name(&at));
                    }
                }
            }
        }
        assert!(proved > 2_500, "{proved}");
        assert_eq!(needless, BTreeSet::new());
    }
}
