//! Our own policies, as the evaluator asks them.

use std::collections::BTreeMap;

use super::selinux::{Loaded, SecurityServer};
use crate::policy::{Answer, Answers, DEFAULT, TableAnswers, TableError};

/// The answers of our own policies, by the table from which their rules are generated.
#[derive(Clone, Debug)]
pub struct OwnPolicies {
    policies: BTreeMap<String, TableAnswers>,
    default: TableAnswers,
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
        let default = TableAnswers::of(DEFAULT)?.expect("the default policy is one of ours");
        Ok(Self { policies, default })
    }
}

impl OwnPolicies {
    /// The table of a policy. A user's own policy has the domains of the default one, and is
    /// expected to answer like it.
    fn table(&self, policy: &str) -> &TableAnswers {
        self.policies.get(policy).unwrap_or(&self.default)
    }
}

impl SecurityServer for OwnPolicies {
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_> {
        let table = self.table(&loaded.policy);
        if loaded.booleans.is_empty() {
            return Box::new(table);
        }
        let set =
            |table: TableAnswers, (name, value): (&String, &bool)| table.with_boolean(name, *value);
        Box::new(loaded.booleans.iter().fold(table.clone(), set))
    }

    fn agent_context(&self, loaded: &Loaded) -> String {
        let files = perfsec_cases::policy(&loaded.policy).unwrap_or_default();
        // Without levels the context differs from the subject's only in its type.
        match files.iter().any(|(_, text)| text.contains("(mls false)")) {
            true => "kernel_t".to_owned(),
            false => "u:r:kernel_t:s0".to_owned(),
        }
    }

    fn exec_domain(&self, loaded: &Loaded, source: &str) -> Option<String> {
        self.table(&loaded.policy).exec_domain(source).map(str::to_owned)
    }
}

impl SecurityServer for AllowAll {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(self)
    }

    fn agent_context(&self, _: &Loaded) -> String {
        "kernel_t".to_owned()
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
