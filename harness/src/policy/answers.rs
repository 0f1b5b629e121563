//! Answers to the SELinux questions of a kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::ours::Source;
use super::table::{TableError, has};
use super::{Access, AccessVector};

/// A policy's decision about one permission (`struct av_decision`,
/// security/selinux/include/security.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The permission is granted (`allowed`).
    pub allowed: bool,
    /// A denial is logged (`auditdeny`); false if a `dontaudit` rule hides it.
    pub audit_denied: bool,
    /// A grant is logged (`auditallow`).
    pub audit_granted: bool,
    /// The source is a permissive domain, in which a denial is logged and the access allowed
    /// (`AVD_FLAGS_PERMISSIVE`).
    pub permissive: bool,
}

/// A policy that answers questions.
pub trait Answers {
    /// The policy's decision about a permission, by the types of both contexts.
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer;
}

impl<T: Answers + ?Sized> Answers for &T {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        (**self).answer(source, target, class, permission)
    }
}

/// The answers of one of our policies, by the table from which its rules are generated.
///
/// A type that the policy does not have is `object_t`: the kernel maps an invalid context to the
/// unlabeled one (`sidtab_search_core()`).
#[derive(Clone, Debug)]
pub struct TableAnswers {
    source: Source,
    booleans: BTreeSet<String>,
}

impl TableAnswers {
    /// The answers of the policy with this name; `None` if none of ours has it. All booleans are
    /// off.
    ///
    /// # Errors
    ///
    /// Mistakes in the table, which the project's tests rule out.
    pub fn of(policy: &str) -> Result<Option<Self>, TableError> {
        let source = Source::built_in(policy)?;
        Ok(source.map(|source| Self { source, booleans: BTreeSet::new() }))
    }

    /// True if the kernel allows the classes and permissions that the policy does not define.
    #[must_use]
    pub fn allows_unknown(&self) -> bool {
        self.source.allows_unknown
    }

    /// True if contexts have a level.
    #[must_use]
    pub fn has_levels(&self) -> bool {
        self.source.has_levels
    }

    /// The answers about every permission that the policy defines in a class.
    #[must_use]
    pub fn vector(&self, access: &Access) -> AccessVector {
        let Access { source, target, class } = access;
        let permissions = self.source.classes.get(class).into_iter().flatten();
        let answers = permissions.map(|it| (it.clone(), self.answer(source, target, class, it)));
        AccessVector { access: access.clone(), answers: answers.collect() }
    }

    /// Sets a boolean.
    #[must_use]
    pub fn with_boolean(mut self, name: &str, value: bool) -> Self {
        if value {
            self.booleans.insert(name.to_owned());
        } else {
            self.booleans.remove(name);
        }
        self
    }

    /// Sets several.
    #[must_use]
    pub fn with_booleans(self, values: &BTreeMap<String, bool>) -> Self {
        values.iter().fold(self, |table, (name, value)| table.with_boolean(name, *value))
    }

    /// The domain that `source` enters when it executes a file, if a rule says so.
    #[must_use]
    pub fn exec_domain(&self, source: &str) -> Option<&str> {
        self.source.table.domains.get(source)?.executes_into.as_deref()
    }

    fn allows(&self, source: &str, target: &str, class: &str, permission: &str) -> bool {
        let table = &self.source.table;
        // Every class in which domains do not differ.
        if table.classes.iter().all(|it| it != class) {
            return true;
        }
        let Some(domain) = table.domains.get(source) else { return false };
        if !table.domains.contains_key(target) {
            return class == "file";
        }
        let gained = domain.gains.iter().filter(|(name, _)| self.booleans.contains(*name));
        table.allows(source, target, class, permission)
            || gained.into_iter().any(|(_, gained)| has(gained, class, permission))
    }
}

impl Answers for TableAnswers {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        let domain = self.source.table.domains.get(source);
        let permissive = domain.is_some_and(|domain| domain.permissive);
        let unknown = Answer {
            allowed: self.source.allows_unknown,
            audit_denied: true,
            audit_granted: false,
            permissive,
        };
        match self.source.classes.get(class) {
            // security_compute_av() answers before it looks for rules.
            None => unknown,
            // map_decision() overrides the rules.
            Some(defined) if !defined.contains(permission) => unknown,
            Some(_) => {
                let between_domains = self.source.table.domains.contains_key(target);
                let listed = |list: fn(&_) -> &Vec<_>| {
                    between_domains && domain.is_some_and(|it| has(list(it), class, permission))
                };
                Answer {
                    allowed: self.allows(source, target, class, permission),
                    audit_denied: !listed(|domain| &domain.dontaudit),
                    audit_granted: listed(|domain| &domain.auditallow),
                    permissive,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const PERF: &str = "perf_event";

    fn answers(policy: &str) -> TableAnswers {
        TableAnswers::of(policy).unwrap().unwrap()
    }

    fn allowed(source: &str, target: &str, class: &str, permission: &str) -> bool {
        answers("minimal").answer(source, target, class, permission).allowed
    }

    #[rstest]
    #[case::nothing_lacks_a_plain_domain("all_t", "all_t", "perf_event", "open", true)]
    #[case::a_whole_class("none_t", "none_t", "capability", "kill", false)]
    #[case::nothing_else("none_t", "none_t", "process", "ptrace", true)]
    #[case::one_permission("no_cpu_t", "no_cpu_t", "perf_event", "cpu", false)]
    #[case::not_the_others("no_cpu_t", "no_cpu_t", "perf_event", "open", true)]
    #[case::all_but_one("open_t", "open_t", "perf_event", "cpu", false)]
    #[case::and_the_one("open_t", "open_t", "perf_event", "open", true)]
    #[case::of_others("no_fd_t", "owner_t", "fd", "use", false)]
    #[case::not_of_itself("no_fd_t", "no_fd_t", "fd", "use", true)]
    #[case::not_of_the_agent("no_fd_t", "kernel_t", "fd", "use", true)]
    #[case::others_of_it("owner_t", "no_fd_t", "fd", "use", true)]
    #[case::refused("all_t", "no_nnp_t", "process2", "nnp_transition", false)]
    #[case::by_the_target_only("no_nnp_t", "all_t", "process2", "nnp_transition", true)]
    #[case::a_file("no_file_read_t", "object_t", "file", "read", true)]
    #[case::a_file_is_no_process("all_t", "object_t", "process", "signal", false)]
    #[case::an_unlabeled_process("extra_t", "extra_t", "perf_event", "open", false)]
    #[case::an_undefined_class("none_t", "object_t", "dir", "search", true)]
    fn the_table_answers(
        #[case] source: &str,
        #[case] target: &str,
        #[case] class: &str,
        #[case] permission: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(allowed(source, target, class, permission), expected);
    }

    #[rstest]
    #[case("none_t", Answer { allowed: false, audit_denied: true, audit_granted: false, permissive: false })]
    #[case("permissive_t", Answer { allowed: false, audit_denied: true, audit_granted: false, permissive: true })]
    #[case("dontaudit_t", Answer { allowed: false, audit_denied: false, audit_granted: false, permissive: false })]
    #[case("auditallow_t", Answer { allowed: true, audit_denied: true, audit_granted: true, permissive: false })]
    fn an_answer_says_what_is_logged(#[case] domain: &str, #[case] expected: Answer) {
        assert_eq!(answers("minimal").answer(domain, domain, PERF, "open"), expected);
    }

    #[test]
    fn a_boolean_gives_what_its_domain_lacks() {
        for (on, expected) in [(false, false), (true, true)] {
            let answers = answers("minimal").with_boolean("perf_allowed", on);
            assert_eq!(answers.answer("by_boolean_t", "owner_t", PERF, "read").allowed, expected);
            assert!(!answers.answer("none_t", "none_t", PERF, "read").allowed);
        }
    }

    #[rstest]
    #[case("legacy-class-allow", PERF, "open", true)]
    #[case("legacy-class-deny", PERF, "open", false)]
    #[case("legacy-class-reject", PERF, "open", false)]
    #[case("legacy-perfmon-allow", "capability2", "perfmon", true)]
    #[case("legacy-perfmon-deny", "capability2", "perfmon", false)]
    fn the_unknown_is_handled_as_the_policy_says_and_its_denial_logged(
        #[case] policy: &str,
        #[case] class: &str,
        #[case] permission: &str,
        #[case] allowed: bool,
    ) {
        for (domain, permissive) in
            [("all_t", false), ("dontaudit_t", false), ("permissive_t", true)]
        {
            let expected = Answer { allowed, audit_denied: true, audit_granted: false, permissive };
            assert_eq!(answers(policy).answer(domain, domain, class, permission), expected);
        }
        assert!(answers(policy).answer("all_t", "all_t", "capability2", "bpf").allowed);
    }

    #[test]
    fn a_domain_of_another_policy_is_unlabeled() {
        let open = |policy| answers(policy).answer("extra_t", "extra_t", PERF, "open").allowed;
        assert_eq!((open("extra"), open("minimal")), (true, false));
        assert!(TableAnswers::of("none").unwrap().is_none());
    }
}
