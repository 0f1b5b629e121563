//! The domains of a policy that a survey is about.
//!
//! selinuxfs has no list of types. The names in the binary policy are a superset of them, and the
//! kernel answers about those only that are types.

use std::collections::BTreeSet;

use crate::policy::{Access, Answers, GuestAnswers, Policy, context_parts};

/// Permissions with which a domain uses perf or BPF, by class.
const USES: [(&str, &[&str]); 3] = [
    ("perf_event", &["open", "cpu", "kernel", "tracepoint", "read", "write"]),
    ("capability2", &["perfmon", "bpf"]),
    ("bpf", &["map_create", "prog_load"]),
];

/// Users and roles of subjects, as distributions' policies name them. A type has those of the first
/// that the policy accepts.
const IDENTITIES: [(&str, &str); 6] = [
    ("system_u", "system_r"),
    ("unconfined_u", "unconfined_r"),
    ("user_u", "user_r"),
    ("staff_u", "staff_r"),
    ("sysadm_u", "sysadm_r"),
    ("u", "r"),
];

/// A name that may be a type, in a context that every type can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The name.
    pub kind: String,
    /// A context with the role `object_r`.
    pub context: String,
}

/// The names in a policy that may be types. `agent` is the agent's context.
#[must_use]
pub fn candidates(policy: &Policy, agent: &str) -> Vec<Candidate> {
    let [user, ..] = context_parts(agent);
    let level = low_level(policy, agent);
    let names = names(&policy.binary).into_iter();
    let context = |kind: &str| format!("{user}:object_r:{kind}{level}");
    names.map(|kind| Candidate { context: context(&kind), kind }).collect()
}

/// The contexts in which a process of this type may run, best first.
#[must_use]
pub fn contexts_of(policy: &Policy, agent: &str, kind: &str) -> Vec<String> {
    let level = low_level(policy, agent);
    let context = |(user, role): &(&str, &str)| format!("{user}:{role}:{kind}{level}");
    IDENTITIES.iter().map(context).collect()
}

/// The accesses that tell if a context may use perf or BPF, and if so, which.
pub(crate) fn uses(context: &str) -> impl Iterator<Item = Access> {
    USES.iter().map(move |(class, _)| Access::new(context, context, class))
}

/// True if a rule of the policy lets a context use perf or BPF. Permissions that the policy does
/// not define do not count: they are the same in every domain.
#[must_use]
pub fn uses_perf(answers: &GuestAnswers, context: &str) -> bool {
    let allows = |class: &str, permission: &&&str| {
        answers.defines(context, class, permission)
            && answers.answer(context, context, class, permission).allowed
    };
    USES.iter().any(|(class, permissions)| permissions.iter().any(|it| allows(class, &it)))
}

/// Tells what the policy does not define of perf and BPF, and what follows. `context` is one that
/// was asked about.
#[must_use]
pub fn undefined(answers: &GuestAnswers, context: Option<&String>) -> Vec<String> {
    let verb = if answers.allows_unknown() { "allows" } else { "denies" };
    let lacks = |context: &str, (class, permissions): &(&str, &[&str])| {
        let missing = permissions.iter().filter(|it| !answers.defines(context, class, it));
        let missing: Vec<&str> = missing.copied().collect();
        (!missing.is_empty()).then(|| {
            let missing = missing.join(" ");
            format!("it does not define {class} {{ {missing} }}, so the kernel {verb} that")
        })
    };
    context.into_iter().flat_map(|it| USES.iter().filter_map(|uses| lacks(it, uses))).collect()
}

/// `:s0` and the like, with the colon; empty in a policy without levels.
fn low_level(policy: &Policy, agent: &str) -> String {
    let [_, _, _, range] = context_parts(agent);
    let sensitivity = range.split(['-', ':']).next().unwrap_or_default();
    if policy.mls { format!(":{sensitivity}") } else { String::new() }
}

/// Strings of a binary policy that are stored as the name of a type is (`type_read()` in
/// security/selinux/ss/policydb.c): four words, the first is the length, then the name.
fn names(binary: &[u8]) -> BTreeSet<String> {
    const WORDS: usize = 16;
    const LONGEST: usize = 128;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let mut found = BTreeSet::new();
    for (at, word) in binary.windows(4).enumerate() {
        let length = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize;
        if !(1..=LONGEST).contains(&length) {
            continue;
        }
        let start = at + WORDS;
        let Some(name) = binary.get(start..start + length) else { continue };
        if name[0].is_ascii_alphabetic()
            && name.iter().all(is_name)
            && let Ok(name) = std::str::from_utf8(name)
        {
            found.insert(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_behind_four_words_may_be_a_type() {
        let mut binary = vec![0; 7];
        binary.extend(6u32.to_le_bytes());
        binary.extend([9; 12]);
        binary.extend(*b"user_tXX");
        let names = names(&binary);
        assert!(names.contains("user_t"), "{names:?}");
        assert!(!names.contains("user_tXX"), "{names:?}");
    }
}
