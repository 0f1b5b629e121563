//! The lists of kernel functions, by what they ask.

use std::collections::BTreeSet;

use crate::asks::{Audit, Check, Fact, Functions, Namespace, Question, Target};
use crate::transcript::Effect;

/// Something that a line of a transcript shows to be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    Capability(u32),
    Permission { class: String, permission: String },
}

/// A list of `functions.toml`.
pub(super) struct Listed<'a> {
    pub(super) name: &'a str,
    /// True if its caller names a target.
    pub(super) has_target: bool,
    /// The number of checks in it, those of functions that it calls included.
    pub(super) checks: usize,
    pub(super) asks: BTreeSet<Asked>,
    /// True if no line of a transcript shows any of its checks.
    pub(super) unseen: bool,
}

impl Asked {
    /// The checks that an effect shows.
    pub(super) fn by(effect: &Effect) -> Vec<Self> {
        match effect {
            Effect::Cap(line) => vec![Self::Capability(line.cap)],
            Effect::Avc(avc) => {
                let class = avc.field("tclass").unwrap_or_default();
                let permissions = avc.permissions.iter();
                let asked = permissions.map(|permission| Self::Permission {
                    class: class.to_owned(),
                    permission: permission.clone(),
                });
                asked.collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The lists that a case can name. Those that depend on the call belong to functions that others
/// lead to.
pub(super) fn catalogue(functions: &Functions) -> Vec<Listed<'_>> {
    let listed = |name| {
        let mut listed =
            Listed { name, has_target: false, checks: 0, asks: BTreeSet::new(), unseen: true };
        listed.add(functions, functions.list(name).map_or(&[], |list| &list.asks));
        listed
    };
    let depends = |question: &Question| {
        question.guards.iter().any(|guard| matches!(guard.fact, Fact::Call(_)))
    };
    let general = |name: &&str| {
        functions
            .list(name)
            .is_some_and(|list| !list.asks.iter().any(depends) && !is_one_permission(&list.asks))
    };
    functions.names().filter(general).map(listed).collect()
}

/// True if a list asks for one permission of perf_event, and besides only what no cell reaches. A
/// case names the permission.
fn is_one_permission(asks: &[Question]) -> bool {
    let beyond = |question: &&Question| {
        !question.guards.iter().any(|guard| guard.fact == Fact::BeyondMlockLimit)
    };
    let mut asks = asks.iter().filter(beyond);
    let first = asks.next().is_some_and(|question| match &question.check {
        Check::Selinux(check) => check.class == "perf_event" && question.guards.is_empty(),
        _ => false,
    });
    first && asks.next().is_none()
}

impl Listed<'_> {
    fn add(&mut self, functions: &Functions, asks: &[Question]) {
        for question in asks {
            self.has_target |= question.guards.iter().any(|guard| {
                !matches!(
                    guard.fact,
                    Fact::LevelAbove(_)
                        | Fact::Condition(_)
                        | Fact::Refused
                        | Fact::Confidentiality
                        | Fact::BeyondMlockLimit
                )
            });
            self.check(functions, &question.check);
        }
    }

    fn check(&mut self, functions: &Functions, check: &Check) {
        match check {
            Check::Selinux(check) => {
                self.checks += 1;
                self.unseen &= !check.audited;
                self.has_target |= check.target == Target::Argument;
                self.asks.extend(check.permissions.iter().map(|permission| Asked::Permission {
                    class: check.class.clone(),
                    permission: permission.clone(),
                }));
            }
            Check::Capable { caps, audit, namespace } => {
                self.checks += 1;
                self.unseen &= *audit == Audit::Unseen;
                self.has_target |= *namespace == Namespace::Of(Target::Argument);
                self.asks.extend(caps.iter().copied().map(Asked::Capability));
            }
            Check::Function { name, .. } => {
                let asks = functions.list(name).map_or(&[][..], |list| &list.asks);
                self.add(functions, asks);
            }
            Check::Either(checks) | Check::Both(checks) => {
                checks.iter().for_each(|check| self.check(functions, check));
            }
            Check::Return(_) => self.checks += 1,
            Check::Effect(_) => {
                self.checks += 1;
                self.unseen = false;
            }
        }
    }
}
