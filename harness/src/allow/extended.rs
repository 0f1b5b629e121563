//! A policy with the rules of a module added.

use std::collections::BTreeMap;

use super::{Rule, RuleScope};
use crate::asks::{Loaded, SecurityServer};
use crate::policy::{Answer, Answers};

/// Policies with further rules.
pub(crate) struct Extended<'a> {
    /// The policies.
    pub(crate) inner: &'a dyn SecurityServer,
    /// The rules.
    pub(crate) rules: &'a BTreeMap<RuleScope, Rule>,
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
