//! Our own policies, as the evaluator asks them.

use std::collections::BTreeMap;

use super::selinux::{Loaded, SecurityServer};
use crate::policy::{Answer, Answers, TableAnswers, TableError};

/// The answers of our own policies, by the table from which their rules are generated.
#[derive(Clone, Debug)]
pub struct OwnPolicies {
    policies: BTreeMap<String, TableAnswers>,
}

/// A policy that is not one of ours: nothing is known about it.
struct Unknown;

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
}

impl SecurityServer for OwnPolicies {
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_> {
        match self.policies.get(&loaded.policy) {
            Some(table) if loaded.booleans.is_empty() => Box::new(table),
            Some(table) => {
                let set = |table: TableAnswers, (name, value): (&String, &bool)| {
                    table.with_boolean(name, *value)
                };
                Box::new(loaded.booleans.iter().fold(table.clone(), set))
            }
            None => Box::new(Unknown),
        }
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
        self.policies.get(&loaded.policy)?.exec_domain(source).map(str::to_owned)
    }
}

impl Answers for Unknown {
    fn answer(&self, _: &str, _: &str, _: &str, _: &str) -> Answer {
        Answer { allowed: true, audit_denied: true, audit_granted: false, permissive: false }
    }
}
