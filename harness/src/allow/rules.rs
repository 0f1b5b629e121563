//! The rules that allow what was denied.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Context, Denial, SysAdminReason, is_capability};

/// Rules, one for each source type, target type and class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: BTreeMap<RuleScope, Rule>,
    /// Domains that were denied CAP_SYS_ADMIN only after CAP_PERFMON. The rules allow them only
    /// CAP_PERFMON.
    pub perfmon_alone: BTreeSet<String>,
    /// Domains that the rules allow CAP_SYS_ADMIN, and why the kernel asked for it.
    pub sys_admin: BTreeMap<String, BTreeSet<SysAdminReason>>,
    /// Records that no rule can express.
    pub unused: Vec<UnusedRecord>,
}

/// The source, target and class of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleScope {
    /// The type of the subject.
    pub source: String,
    /// The type of the object.
    pub target: String,
    /// The object's class.
    pub class: String,
}

/// The permissions that a rule allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The permissions' names.
    pub permissions: BTreeSet<String>,
    /// The records that ask for the rule, without duplicates.
    pub records: Vec<String>,
}

/// A record that no rule can express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedRecord {
    /// The record's text.
    pub record: String,
    /// The reason, as a clause.
    pub why: &'static str,
}

/// The note on CAP_SYS_ADMIN that stays denied where CAP_PERFMON is allowed
/// (`Documentation/admin-guide/perf-security.rst`).
pub(super) const WHY_PERFMON: &str = "CAP_SYS_ADMIN was denied too and stays denied: perf asks \
    for it only after CAP_PERFMON was refused, and perf-security.rst prefers CAP_PERFMON alone. \
    A program that needs CAP_SYS_ADMIN for something else still lacks it.";

/// The note on a domain that holds CAP_SYS_ADMIN but not CAP_PERFMON.
const WHY_SYS_ADMIN: &str = "CAP_SYS_ADMIN was denied and CAP_PERFMON was not: the program does \
    not hold CAP_PERFMON, which perf asks for first. Instead of adding this rule, give the \
    program CAP_PERFMON (`setcap cap_perfmon=ep FILE`) and allow capability2 { perfmon }.";

/// The note for records that do not show which of the two cases they are.
const WHY_UNKNOWN: &str = "CAP_SYS_ADMIN was denied, and no refusal of CAP_PERFMON precedes it. \
    Uprobes, breakpoints in the kernel and Debian's level 3 ask for CAP_SYS_ADMIN alone; only they \
    need this rule. Everything else in perf asks for CAP_PERFMON first, so the program does not \
    hold it: instead of adding this rule, give the program CAP_PERFMON (`setcap cap_perfmon=ep \
    FILE`) and allow capability2 { perfmon }.";

/// The note for checks that CAP_PERFMON does not pass.
const WHY_OWN: &str = "CAP_SYS_ADMIN is allowed because the kernel asked for it alone, as it does \
    for uprobes, breakpoints in the kernel and Debian's level 3. CAP_PERFMON does not count there.";

/// The note on a rule that allows CAP_SYS_ADMIN.
pub(crate) const fn why(reason: SysAdminReason) -> &'static str {
    match reason {
        SysAdminReason::OnItsOwn => WHY_OWN,
        SysAdminReason::WithoutPerfmon => WHY_SYS_ADMIN,
        // No rule allows CAP_SYS_ADMIN after CAP_PERFMON.
        SysAdminReason::AfterPerfmon | SysAdminReason::Unknown => WHY_UNKNOWN,
    }
}

const SYS_ADMIN: &str = "sys_admin";

impl Rules {
    /// Collects the rules that these records ask for. Skips records of granted accesses.
    pub fn from_denials<'a>(denials: impl IntoIterator<Item = &'a Denial>) -> Self {
        let denials: Vec<_> = denials.into_iter().filter(|denial| !denial.granted).collect();
        let mut this = Self::default();
        for denial in denials.iter().filter(|denial| denial.denies_sys_admin()) {
            let Some(domain) = denial.source.kind().map(str::to_owned) else { continue };
            if denial.sys_admin_reason == SysAdminReason::AfterPerfmon {
                this.perfmon_alone.insert(domain);
            } else {
                this.sys_admin.entry(domain).or_default().insert(denial.sys_admin_reason);
            }
        }
        this.perfmon_alone.retain(|domain| !this.sys_admin.contains_key(domain));
        for denial in denials {
            if let Err(why) = this.add(denial) {
                this.unused.push(UnusedRecord { record: denial.text.clone(), why });
            }
        }
        this
    }

    fn add(&mut self, denial: &Denial) -> Result<(), &'static str> {
        if denial.source.invalid || denial.target.invalid {
            return Err("the loaded policy does not define the context (srawcon, trawcon): \
                 relabel the file or restart the program");
        }
        let (Some(source), Some(target)) = (denial.source.kind(), denial.target.kind()) else {
            return Err("the record has no context that a rule could name");
        };
        if !denial.is_nameable() {
            return Err("the policy has no name for the class or permission that was denied");
        }
        let mut permissions = denial.permissions.clone();
        if denial.has_capability(SYS_ADMIN) && self.perfmon_alone.contains(source) {
            permissions.remove(SYS_ADMIN);
        }
        if permissions.is_empty() {
            return Ok(());
        }
        let scope = RuleScope {
            source: source.to_owned(),
            target: target.to_owned(),
            class: denial.class.clone(),
        };
        let rule = self.rules.entry(scope).or_default();
        rule.permissions.extend(permissions);
        if !rule.records.contains(&denial.text) {
            rule.records.push(denial.text.clone());
        }
        Ok(())
    }

    /// The rules, ordered by source, target and class.
    pub fn iter(&self) -> impl Iterator<Item = (&RuleScope, &Rule)> {
        self.rules.iter()
    }

    /// True if there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// True if the rules allow a permission.
    #[must_use]
    pub fn allows(&self, scope: &RuleScope, permission: &str) -> bool {
        self.rules.get(scope).is_some_and(|rule| rule.permissions.contains(permission))
    }

    /// True if the rules leave a permission denied on purpose.
    #[must_use]
    pub fn withholds(&self, scope: &RuleScope, permission: &str) -> bool {
        permission == SYS_ADMIN
            && is_capability(&scope.class)
            && self.perfmon_alone.contains(&scope.source)
    }
}

impl RuleScope {
    /// The scope of the rule that a record asks for. Returns `None` if its contexts have no types.
    #[must_use]
    pub fn from_denial(denial: &Denial) -> Option<Self> {
        let kind = |context: &Context| context.kind().map(str::to_owned);
        let (source, target) = (kind(&denial.source)?, kind(&denial.target)?);
        Some(Self { source, target, class: denial.class.clone() })
    }

    /// The target as a rule names it: `self` or a type.
    #[must_use]
    pub fn object(&self) -> &str {
        if self.source == self.target { "self" } else { &self.target }
    }
}

impl Rule {
    /// The permissions as a `.te` lists them: in braces, unless there is only one.
    #[must_use]
    pub fn braced(&self) -> String {
        let names: Vec<_> = self.permissions.iter().map(String::as_str).collect();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            all => format!("{{ {} }}", all.join(" ")),
        }
    }

    /// The rule in a `.te`.
    #[must_use]
    pub fn te(&self, scope: &RuleScope) -> String {
        let (source, object, class) = (&scope.source, scope.object(), &scope.class);
        format!("allow {source} {object}:{class} {};", self.braced())
    }

    /// The rule in CIL.
    #[must_use]
    pub fn cil(&self, scope: &RuleScope) -> String {
        let names: Vec<_> = self.permissions.iter().map(String::as_str).collect();
        let (source, object, class) = (&scope.source, scope.object(), &scope.class);
        format!("(allow {source} {object} ({class} ({})))", names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn denial(permission: &str, class: &str, more: &str) -> Denial {
        let line = format!(
            "avc:  denied  {{ {permission} }} for  pid=1 comm=\"perf\" scontext=u:r:a_t:s0 \
             tcontext=u:r:a_t:s0 tclass={class} permissive=0{more}"
        );
        Denial::parse(&line).unwrap().unwrap()
    }

    fn asked(sys_admin_reason: SysAdminReason) -> Denial {
        Denial { sys_admin_reason, ..denial("sys_admin", "capability", "") }
    }

    fn te(denials: &[Denial]) -> Vec<String> {
        Rules::from_denials(denials).iter().map(|(scope, rule)| rule.te(scope)).collect()
    }

    #[test]
    fn permissions_of_one_class_become_one_rule() {
        let open = denial("open", "perf_event", "");
        let kernel = denial("kernel", "perf_event", "");
        let rules = Rules::from_denials([&open, &kernel, &open]);
        let (scope, rule) = rules.iter().next().unwrap();
        assert_eq!(rule.te(scope), "allow a_t self:perf_event { kernel open };");
        assert_eq!(rule.cil(scope), "(allow a_t self (perf_event (kernel open)))");
        assert_eq!((rules.iter().count(), rule.records.len()), (1, 2));
    }

    #[rstest]
    #[case::fallback(&[SysAdminReason::AfterPerfmon], false)]
    #[case::on_its_own(&[SysAdminReason::OnItsOwn], true)]
    #[case::not_held(&[SysAdminReason::WithoutPerfmon], true)]
    #[case::unknown(&[SysAdminReason::Unknown], true)]
    #[case::once_on_its_own(&[SysAdminReason::AfterPerfmon, SysAdminReason::OnItsOwn], true)]
    fn sys_admin_is_withheld_only_where_it_is_the_fallback(
        #[case] reasons: &[SysAdminReason],
        #[case] allowed: bool,
    ) {
        let mut denials = vec![denial("perfmon", "capability2", "")];
        denials.extend(reasons.iter().map(|reason| asked(*reason)));
        let rules = Rules::from_denials(&denials);
        let scope = RuleScope::from_denial(&denials[1]).unwrap();
        assert_eq!(rules.allows(&scope, "sys_admin"), allowed);
        assert_eq!(rules.withholds(&scope, "sys_admin"), !allowed);
        assert!(te(&denials).contains(&"allow a_t self:capability2 perfmon;".to_owned()));
    }

    #[test]
    fn the_fallback_of_another_domain_does_not_matter() {
        let mut other = asked(SysAdminReason::AfterPerfmon);
        other.source.text = "u:r:b_t:s0".to_owned();
        let rules = te(&[asked(SysAdminReason::OnItsOwn), other]);
        assert_eq!(rules, ["allow a_t self:capability sys_admin;"]);
    }

    #[rstest]
    #[case::injection("open)))(allow", "perf_event", "")]
    #[case::unknown_bit("0x40", "perf_event", "")]
    #[case::class("open", "a;b", "")]
    #[case::invalid("open", "perf_event", " srawcon=u:r:gone_t:s0")]
    fn text_that_is_not_a_name_gets_into_no_rule(
        #[case] permission: &str,
        #[case] class: &str,
        #[case] more: &str,
    ) {
        let rules = Rules::from_denials([&denial(permission, class, more)]);
        assert!(rules.is_empty());
        assert_eq!(rules.unused.len(), 1);
        let good = Rules::from_denials([&denial("open", "perf_event", "")]);
        assert!(!good.is_empty() && good.unused.is_empty());
    }
}
