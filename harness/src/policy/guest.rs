//! The answers of the policy that a guest has loaded.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::PolicyAnswers;
use perfsec_wire::answers::Decision;

use super::vector::is_name;
use super::{Access, AccessVector, Answer, Answers};

/// The number of permissions that a class can have.
const MAX_PERMISSIONS: usize = 32;

/// The answers of a loaded policy.
///
/// It answers about the accesses that the guest was asked about. It answers about any other as about
/// a class that the policy does not define.
#[derive(Clone, Debug, Default)]
pub struct GuestAnswers {
    vectors: BTreeMap<Access, BTreeMap<String, Answer>>,
    permissive: BTreeSet<String>,
    allows_unknown: bool,
}

impl GuestAnswers {
    /// The answers with these vectors, by a policy that allows what it does not define or denies it.
    #[must_use]
    pub fn new(vectors: &[AccessVector], allows_unknown: bool) -> Self {
        let vectors = vectors.iter().cloned();
        let vectors: BTreeMap<_, _> = vectors.map(|it| (it.access, it.answers)).collect();
        let permissive = vectors
            .iter()
            .filter(|(_, answers)| answers.values().any(|answer| answer.permissive))
            .map(|(access, _)| access.source.clone());
        let permissive = permissive.collect();
        Self { vectors, permissive, allows_unknown }
    }

    /// True if the policy defines a permission of the class; `context` is one that was asked about.
    #[must_use]
    pub fn defines(&self, context: &str, class: &str, permission: &str) -> bool {
        let vector = self.vectors.get(&Access::new(context, context, class));
        vector.is_some_and(|answers| answers.contains_key(permission))
    }

    /// True if the kernel allows the classes and permissions that the policy does not define.
    #[must_use]
    pub fn allows_unknown(&self) -> bool {
        self.allows_unknown
    }

    /// True if the guest was asked about an access.
    #[must_use]
    pub fn has(&self, access: &Access) -> bool {
        self.vectors.contains_key(access)
    }
}

impl Answers for GuestAnswers {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        let permissive = self.permissive.contains(source);
        let vector = self.vectors.get(&Access::new(source, target, class));
        vector.and_then(|answers| answers.get(permission)).copied().unwrap_or(Answer {
            allowed: self.allows_unknown,
            audit_denied: true,
            audit_granted: false,
            permissive,
        })
    }
}

/// The vectors in an agent's answers about `accesses`, without those about types that the policy
/// does not define.
///
/// # Errors
///
/// The contradiction, if the answers do not fit the questions.
pub fn vectors(
    accesses: &[Access],
    answers: &PolicyAnswers,
) -> Result<Vec<AccessVector>, &'static str> {
    if answers.decisions.len() != accesses.len() {
        return Err("there is not one answer for each question");
    }
    let classes: BTreeMap<&str, &Vec<(String, u8)>> =
        answers.classes.iter().map(|(name, permissions)| (name.as_str(), permissions)).collect();
    for permissions in classes.values() {
        let distinct: BTreeSet<_> = permissions.iter().map(|(_, number)| number).collect();
        if permissions.len() > MAX_PERMISSIONS || distinct.len() != permissions.len() {
            return Err("permissions of a class share a number");
        }
        if !permissions.iter().all(|(name, _)| is_name(name)) {
            return Err("a permission's name has strange characters");
        }
    }
    let mut found = Vec::new();
    for (access, decision) in accesses.iter().zip(&answers.decisions) {
        let answers = match (classes.get(access.class.as_str()), decision) {
            (Some(permissions), Some(decision)) => {
                permissions.iter().map(|(name, it)| (name.clone(), answer(decision, *it))).collect()
            }
            (Some(_), None) => continue,
            (None, None) => BTreeMap::new(),
            (None, Some(_)) => return Err("an answer is about a class without permissions"),
        };
        found.push(AccessVector { access: access.clone(), answers });
    }
    Ok(found)
}

fn answer(decision: &Decision, permission: u8) -> Answer {
    Answer {
        allowed: Decision::has(decision.allowed, permission),
        audit_denied: Decision::has(decision.auditdeny, permission),
        audit_granted: Decision::has(decision.auditallow, permission),
        permissive: decision.permissive,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn access(class: &str) -> Access {
        Access { source: "a_t".to_owned(), target: "b_t".to_owned(), class: class.to_owned() }
    }

    /// A policy that allows { open }, hides denials of { cpu }, and does not define `bpf`.
    fn answered() -> PolicyAnswers {
        let decision =
            Decision { allowed: 0b01, auditallow: 0b01, auditdeny: !0b10, permissive: true };
        let permissions = vec![("open".to_owned(), 1), ("cpu".to_owned(), 2)];
        PolicyAnswers {
            deny_unknown: true,
            agent: "u:r:kernel_t:s0".to_owned(),
            aliases: Vec::new(),
            classes: vec![("perf_event".to_owned(), permissions)],
            decisions: vec![Some(decision), None],
        }
    }

    #[test]
    fn an_agents_answers_are_the_policys() {
        let vectors = vectors(&[access("perf_event"), access("bpf")], &answered()).unwrap();
        let lines: Vec<_> = vectors.iter().map(ToString::to_string).collect();
        let perf = "a_t b_t perf_event permissive allow { open } deny { cpu } auditallow { open } \
                    dontaudit { cpu }";
        assert_eq!(lines, [perf, "a_t b_t bpf"]);
        let answers = GuestAnswers::new(&vectors, false);
        assert!(answers.answer("a_t", "b_t", "perf_event", "open").audit_granted);
        let unknown =
            Answer { allowed: false, audit_denied: true, audit_granted: false, permissive: true };
        for (class, permission) in [("bpf", "map_read"), ("perf_event", "tracepoint")] {
            assert_eq!(answers.answer("a_t", "b_t", class, permission), unknown);
        }
        assert!(answers.has(&access("bpf")) && !answers.has(&access("file")));
    }

    #[rstest]
    #[case::too_few(|it: &mut PolicyAnswers| it.decisions.truncate(1))]
    #[case::too_many(|it: &mut PolicyAnswers| it.decisions.push(None))]
    #[case::an_undefined_class(|it: &mut PolicyAnswers| it.classes.clear())]
    #[case::one_number_twice(|it: &mut PolicyAnswers| it.classes[0].1[1].1 = 1)]
    #[case::an_escape(|it: &mut PolicyAnswers| it.classes[0].1[1].0 = "\u{1b}[2J".to_owned())]
    #[case::a_long_name(|it: &mut PolicyAnswers| it.classes[0].1[1].0 = "a".repeat(1000))]
    fn answers_that_do_not_fit_the_questions_are_refused(#[case] change: fn(&mut PolicyAnswers)) {
        let mut answers = answered();
        change(&mut answers);
        assert!(vectors(&[access("perf_event"), access("bpf")], &answers).is_err());
    }
}
