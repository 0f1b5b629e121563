//! Our own policies, as the evaluator asks them.

use std::collections::BTreeMap;

use super::selinux::{Loaded, SecurityServer};
use crate::policy::{
    Access, Answer, Answers, DEFAULT, GuestAnswers, KERNEL, TableAnswers, TableError,
};
use crate::transcript::short_context;

/// The answers of our own policies, by the table from which their rules are generated.
#[derive(Clone, Debug)]
pub struct OwnPolicies {
    /// The default policy among them.
    policies: BTreeMap<String, TableAnswers>,
}

/// A policy that allows everything.
#[derive(Clone, Copy, Debug)]
pub struct AllowAll;

impl OwnPolicies {
    /// All of our policies.
    ///
    /// # Errors
    ///
    /// Mistakes in the table of domains, which the project's tests rule out.
    pub fn new() -> Result<Self, TableError> {
        let mut policies = BTreeMap::new();
        for name in perfsec_cases::policy_names() {
            if let Some(answers) = TableAnswers::of(name)? {
                policies.insert(name.to_owned(), answers);
            }
        }
        Ok(Self { policies })
    }

    /// The table of a policy; `None` if it is not one of ours.
    #[must_use]
    pub fn table(&self, policy: &str) -> Option<&TableAnswers> {
        self.policies.get(policy)
    }

    /// The table by which a policy is expected to answer. A user's own policy has the domains of the
    /// default one, and is expected to answer like it.
    fn expected(&self, policy: &str) -> &TableAnswers {
        let table = self.table(policy).or_else(|| self.table(DEFAULT));
        table.expect("the default policy is one of ours")
    }
}

impl SecurityServer for OwnPolicies {
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_> {
        let table = self.expected(&loaded.policy);
        if loaded.booleans.is_empty() {
            return Box::new(table);
        }
        Box::new(table.clone().with_booleans(&loaded.booleans))
    }

    fn agent_context(&self, loaded: &Loaded, _: &str) -> String {
        // Without levels the context differs from the subject's only in its type.
        match self.expected(&loaded.policy).has_levels() {
            true => format!("u:r:{KERNEL}:s0"),
            false => KERNEL.to_owned(),
        }
    }

    fn exec_domain(&self, loaded: &Loaded, source: &str) -> Option<String> {
        self.expected(&loaded.policy).exec_domain(source).map(str::to_owned)
    }
}

/// A policy that a guest has loaded, by its answers. The values of its own booleans do not change.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// Its answers. Domains are whole contexts, or types of ours that were added to it.
    pub answers: GuestAnswers,
    /// The context of the agent.
    pub agent: String,
    /// Contexts that were asked about and that the kernel writes in another way: their types are
    /// aliases.
    pub aliases: BTreeMap<String, String>,
}

/// A policy that a machine has loaded, with our domains in addition. The values of its own booleans
/// do not change.
#[derive(Clone, Debug)]
pub struct ExtendedPolicy {
    loaded: LoadedPolicy,
    /// The context of a subject in one of our domains, but for its type and its categories.
    subject: String,
    table: TableAnswers,
}

impl ExtendedPolicy {
    /// The policy with these answers, in which subjects have contexts like `subject`.
    ///
    /// # Errors
    ///
    /// Mistakes in the table of domains, which the project's tests rule out.
    pub fn new(loaded: LoadedPolicy, subject: String) -> Result<Self, TableError> {
        let table = TableAnswers::of(DEFAULT)?.expect("the default policy is one of ours");
        Ok(Self { loaded, subject, table })
    }
}

/// The answers of an [`ExtendedPolicy`].
struct ExtendedAnswers<'a> {
    loaded: &'a GuestAnswers,
    /// Those of our domains by the table, with the booleans that were set.
    table: TableAnswers,
    /// The same without a boolean.
    unset: &'a TableAnswers,
}

impl Answers for ExtendedAnswers<'_> {
    fn answer(&self, source: &str, target: &str, class: &str, permission: &str) -> Answer {
        let by_table = |table: &TableAnswers| table.answer(source, target, class, permission);
        // Domains do not differ in a class that nobody asked about.
        if !self.loaded.has(&Access::new(source, target, class)) {
            return by_table(&self.table);
        }
        let answer = self.loaded.answer(source, target, class, permission);
        let gained = by_table(&self.table).allowed && !by_table(self.unset).allowed;
        Answer { allowed: answer.allowed || gained, ..answer }
    }
}

impl SecurityServer for LoadedPolicy {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(&self.answers)
    }

    fn agent_context(&self, _: &Loaded, domain: &str) -> String {
        short_context(&self.agent, domain).to_owned()
    }

    fn exec_domain(&self, _: &Loaded, _: &str) -> Option<String> {
        None
    }
}

impl SecurityServer for ExtendedPolicy {
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_> {
        let table = self.table.clone().with_booleans(&loaded.booleans);
        Box::new(ExtendedAnswers { loaded: &self.loaded.answers, table, unset: &self.table })
    }

    fn agent_context(&self, _: &Loaded, _: &str) -> String {
        short_context(&self.loaded.agent, &self.subject).to_owned()
    }

    fn exec_domain(&self, _: &Loaded, source: &str) -> Option<String> {
        self.table.exec_domain(source).map(str::to_owned)
    }
}

impl SecurityServer for AllowAll {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(self)
    }

    fn agent_context(&self, _: &Loaded, _: &str) -> String {
        KERNEL.to_owned()
    }

    fn exec_domain(&self, _: &Loaded, _: &str) -> Option<String> {
        None
    }
}

impl Answers for AllowAll {
    fn answer(&self, _: &str, _: &str, _: &str, _: &str) -> Answer {
        Answer { allowed: true, audit_denied: true, audit_granted: false, permissive: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AccessVector;

    const DOMAIN: &str = "by_boolean_t";

    /// A policy that denies our domain { open }, and all that it does not define.
    fn extended() -> ExtendedPolicy {
        let denied =
            Answer { allowed: false, audit_denied: true, audit_granted: false, permissive: false };
        let answers = [("open".to_owned(), denied)].into();
        let access = Access::new(DOMAIN, DOMAIN, "perf_event");
        let answers = GuestAnswers::new(&[AccessVector { access, answers }], false);
        let agent = "unconfined_u:unconfined_r:unconfined_t:s0".to_owned();
        let loaded = LoadedPolicy { answers, agent, aliases: BTreeMap::new() };
        ExtendedPolicy::new(loaded, "system_u:system_r:kernel_t:s0".to_owned()).unwrap()
    }

    fn loaded(booleans: &[(&str, bool)]) -> Loaded {
        let booleans = booleans.iter().map(|(name, value)| ((*name).to_owned(), *value));
        Loaded { policy: "loaded+perfsec".to_owned(), booleans: booleans.collect() }
    }

    #[test]
    fn an_extended_policy_answers_as_the_kernel_and_booleans_give_what_the_table_says() {
        let policy = extended();
        let opens = |loaded: &Loaded| {
            policy.answers(loaded).answer(DOMAIN, DOMAIN, "perf_event", "open").allowed
        };
        assert!(!opens(&loaded(&[])) && !opens(&loaded(&[("perf_allowed", false)])));
        assert!(opens(&loaded(&[("perf_allowed", true)])));
        // Nobody asked the kernel about it.
        assert!(policy.answers(&loaded(&[])).answer("all_t", "all_t", "dir", "search").allowed);
    }

    #[test]
    fn in_an_extended_policy_the_agent_has_a_context_of_the_machine() {
        let (policy, loaded) = (extended(), loaded(&[]));
        assert_eq!(
            policy.agent_context(&loaded, DOMAIN),
            "unconfined_u:unconfined_r:unconfined_t:s0"
        );
        assert_eq!(policy.exec_domain(&loaded, "auto_t").as_deref(), Some("no_nnp_t"));
    }
}
