//! `perfsec allow` on the log of the guest, and its module beside that of audit2allow.

use std::collections::{BTreeMap, BTreeSet};

use super::outcome::{Finding, Verdict};
use crate::allow::{Language, Module, RuleScope, Rules};
use crate::audit::Log;
use crate::explain::{Knowledge, KnowledgeError, Triage};

/// A module of perfsec's.
pub(super) struct OwnModule {
    rules: Rules,
    /// Its source.
    pub(super) source: String,
}

/// The permissions of each rule of a `.te`.
type Allowed = BTreeMap<RuleScope, BTreeSet<String>>;

impl OwnModule {
    /// The module for what the records in a log are about.
    ///
    /// # Errors
    ///
    /// If what perfsec knows about records is damaged.
    pub(super) fn of(log: &str, name: &str) -> Result<Self, KnowledgeError> {
        let log = Log::read(log.as_bytes()).unwrap_or_default();
        let knowledge = Knowledge::built_in()?;
        let triage = Triage::new(&log, &knowledge);
        let rules = Rules::from_denials(triage.needed().map(|group| &group.denial));
        let module = Module { name, rules: &rules, from: "the guest's audit log" };
        let source = module.text(Language::Te).plain();
        Ok(Self { rules, source })
    }

    /// Compares it with the source of another module.
    pub(super) fn is_no_larger_than(&self, other: &str) -> Finding {
        let other = allowed(other);
        let more = self.rules.iter().flat_map(|(scope, rule)| {
            let theirs = other.get(scope);
            let more = rule.permissions.iter();
            let more = more.filter(move |it| theirs.is_none_or(|theirs| !theirs.contains(*it)));
            more.map(move |it| format!("{} {}:{} {it}", scope.source, scope.object(), scope.class))
        });
        let more: Vec<_> = more.collect();
        let verdict = match (self.rules.is_empty(), more.as_slice()) {
            (true, _) => Verdict::Broken { but: "it allows nothing".to_owned() },
            (false, []) => Verdict::Kept,
            (false, more) => Verdict::Broken { but: format!("it adds {}", more.join(", ")) },
        };
        Finding {
            claim: "it allows nothing that audit2allow's module does not".to_owned(),
            verdict,
        }
    }
}

/// The rules of a `.te`, as audit2allow writes it: one in a line.
fn allowed(te: &str) -> Allowed {
    let mut allowed = Allowed::new();
    for rule in te.lines().filter_map(|line| line.trim().strip_prefix("allow ")) {
        let Some((scope, permissions)) = split(rule) else { continue };
        allowed.entry(scope).or_default().extend(permissions);
    }
    allowed
}

/// Splits `a_t self:perf_event { cpu open };`.
fn split(rule: &str) -> Option<(RuleScope, Vec<String>)> {
    let (source, rest) = rule.split_once(' ')?;
    let (target, rest) = rest.split_once(':')?;
    let (class, permissions) = rest.trim_end_matches(';').split_once(' ')?;
    let target = if target == "self" { source } else { target };
    let [source, target, class] = [source, target, class].map(str::to_owned);
    let words = permissions.split_whitespace().filter(|it| !matches!(*it, "{" | "}"));
    Some((RuleScope { source, target, class }, words.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LOG: &str = "type=AVC msg=audit(1.0:7): avc:  denied  { open } for  pid=1 comm=\"perf\" \
        scontext=u:r:a_t:s0 tcontext=u:r:a_t:s0 tclass=perf_event permissive=0\n\
        type=AVC msg=audit(1.0:8): avc:  denied  { cpu } for  pid=1 comm=\"perf\" \
        scontext=u:r:a_t:s0 tcontext=u:r:a_t:s0 tclass=perf_event permissive=0\n";

    #[rstest]
    #[case::the_same("allow a_t self:perf_event { cpu open };", None)]
    #[case::larger("allow a_t self:perf_event { cpu open read };\nallow a_t b_t:file read;", None)]
    #[case::smaller("allow a_t self:perf_event open;", Some("it adds a_t self:perf_event cpu"))]
    #[case::other(
        "allow a_t b_t:perf_event { cpu open };",
        Some("it adds a_t self:perf_event cpu, a_t self:perf_event open")
    )]
    fn our_module_is_compared_with_that_of_audit2allow(
        #[case] te: &str,
        #[case] but: Option<&str>,
    ) {
        let ours = OwnModule::of(LOG, "mine").unwrap();
        assert!(ours.source.contains("module mine 1.0;"), "{}", ours.source);
        let verdict = match but {
            None => Verdict::Kept,
            Some(but) => Verdict::Broken { but: but.to_owned() },
        };
        assert_eq!(ours.is_no_larger_than(te).verdict, verdict);
    }

    #[test]
    fn a_module_without_rules_is_not_as_promised() {
        let ours = OwnModule::of("nothing", "mine").unwrap();
        assert!(matches!(ours.is_no_larger_than("").verdict, Verdict::Broken { .. }));
    }
}
