//! The rules that would allow what was denied.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{Context, Denial, SysAdminReason, is_capability};

/// Rules, grouped by who, whose and which class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: BTreeMap<RuleScope, Rule>,
    /// Domains that were denied CAP_SYS_ADMIN only after CAP_PERFMON, and are allowed only the latter.
    pub perfmon_alone: BTreeSet<String>,
    /// Domains that are allowed CAP_SYS_ADMIN, and why it was asked for.
    pub sys_admin: BTreeMap<String, BTreeSet<SysAdminReason>>,
    /// Records that no rule can be made of.
    pub unused: Vec<UnusedRecord>,
}

/// What one rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleScope {
    /// Type of who asks.
    pub source: String,
    /// Type of what is asked for.
    pub target: String,
    /// The class.
    pub class: String,
}

/// What one rule allows, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The permissions.
    pub permissions: BTreeSet<String>,
    /// The records that ask for it, each distinct one once.
    pub records: Vec<String>,
}

/// A record that no rule is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedRecord {
    /// The record.
    pub record: String,
    /// Why.
    pub why: &'static str,
}

/// Why CAP_SYS_ADMIN is not allowed beside CAP_PERFMON (`Documentation/admin-guide/perf-security.rst`).
pub(super) const WHY_PERFMON: &str = "CAP_SYS_ADMIN was denied too and is left denied: perf asks for it only \
    after CAP_PERFMON was refused, and perf-security.rst prefers CAP_PERFMON alone. What needs \
    CAP_SYS_ADMIN for something else still lacks it.";

/// What to do about a domain that has CAP_SYS_ADMIN and not CAP_PERFMON.
const WHY_SYS_ADMIN: &str = "CAP_SYS_ADMIN was denied and CAP_PERFMON was not: the program has no \
    CAP_PERFMON, which perf asks for first. Better than this rule: give the program CAP_PERFMON instead \
    (`setcap cap_perfmon=ep FILE`), and allow capability2 { perfmon }.";

/// The same, where the records do not tell it from the next.
const WHY_UNKNOWN: &str = "CAP_SYS_ADMIN was denied without a refusal of CAP_PERFMON before it. Uprobes, \
    breakpoints in the kernel and Debian's level 3 ask for CAP_SYS_ADMIN alone, and this rule is for them. \
    Everything else of perf asks for CAP_PERFMON first, which the program does not hold then: better than \
    this rule, give it CAP_PERFMON (`setcap cap_perfmon=ep FILE`), and allow capability2 { perfmon }.";

/// Where CAP_PERFMON does not count.
const WHY_OWN: &str = "CAP_SYS_ADMIN is allowed because it was asked for on its own, as for uprobes, \
    breakpoints in the kernel and Debian's level 3: CAP_PERFMON does not count there.";

/// What to say about CAP_SYS_ADMIN that a rule allows.
pub(crate) const fn why(reason: SysAdminReason) -> &'static str {
    match reason {
        SysAdminReason::OnItsOwn => WHY_OWN,
        SysAdminReason::WithoutPerfmon => WHY_SYS_ADMIN,
        // Of the former no rule is made.
        SysAdminReason::AfterPerfmon | SysAdminReason::Unknown => WHY_UNKNOWN,
    }
}

const SYS_ADMIN: &str = "sys_admin";

impl Rules {
    /// The rules that these records ask for; a record about what was granted asks for none.
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
            return Err(
                "the loaded policy does not know the context (srawcon, trawcon): relabel, or restart it",
            );
        }
        let (Some(source), Some(target)) = (denial.source.kind(), denial.target.kind()) else {
            return Err("it has no context that a rule could name");
        };
        if !denial.has_names() {
            return Err("the policy has no name for what was denied");
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

    /// The rules, in the order of their types.
    pub fn iter(&self) -> impl Iterator<Item = (&RuleScope, &Rule)> {
        self.rules.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether they allow a permission.
    #[must_use]
    pub fn allows(&self, scope: &RuleScope, permission: &str) -> bool {
        self.rules.get(scope).is_some_and(|rule| rule.permissions.contains(permission))
    }

    /// Whether they leave it denied on purpose.
    #[must_use]
    pub fn withholds(&self, scope: &RuleScope, permission: &str) -> bool {
        permission == SYS_ADMIN
            && is_capability(&scope.class)
            && self.perfmon_alone.contains(&scope.source)
    }
}

impl RuleScope {
    /// What a record is about; none when it has no types.
    #[must_use]
    pub fn of(denial: &Denial) -> Option<Self> {
        let kind = |context: &Context| context.kind().map(str::to_owned);
        let (source, target) = (kind(&denial.source)?, kind(&denial.target)?);
        Some(Self { source, target, class: denial.class.clone() })
    }

    /// The target as a rule names it.
    #[must_use]
    pub fn object(&self) -> &str {
        if self.source == self.target { "self" } else { &self.target }
    }
}

impl Rule {
    /// The permissions between braces; in a `.te` one alone needs none.
    #[must_use]
    pub fn braced(&self) -> String {
        let names: Vec<_> = self.permissions.iter().map(String::as_str).collect();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            all => format!("{{ {} }}", all.join(" ")),
        }
    }

    /// The rule as a `.te` writes it.
    #[must_use]
    pub fn te(&self, scope: &RuleScope) -> String {
        let (source, object, class) = (&scope.source, scope.object(), &scope.class);
        format!("allow {source} {object}:{class} {};", self.braced())
    }

    /// The rule as CIL writes it.
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
            "avc:  denied  {{ {permission} }} for  pid=1 comm=\"perf\" scontext=u:r:a_t:s0 tcontext=u:r:a_t:s0 tclass={class} permissive=0{more}"
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
    fn permissions_of_one_class_are_one_rule() {
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
        let scope = RuleScope::of(&denials[1]).unwrap();
        assert_eq!(rules.allows(&scope, "sys_admin"), allowed);
        assert_eq!(rules.withholds(&scope, "sys_admin"), !allowed);
        assert!(te(&denials).contains(&"allow a_t self:capability2 perfmon;".to_owned()));
    }

    #[test]
    fn another_domains_fallback_says_nothing() {
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
    fn what_is_no_name_gets_into_no_rule(
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
