//! The table of the domains of our policies: `cases/policies/domains.toml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// The domain of the kernel and the agent.
pub const KERNEL: &str = "kernel_t";

/// The type of every file, and the unlabeled one. Every domain has every `file` permission to it.
pub const OBJECT: &str = "object_t";

/// The domains, and the classes in which they differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The classes, sorted. Everything is allowed in all others.
    pub(super) classes: Vec<String>,
    pub(super) domains: BTreeMap<String, Domain>,
}

/// A domain: what distinguishes it from one that is allowed everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Domain {
    /// Permissions that it does not have.
    pub(super) lacks: Vec<Permissions>,
    /// Permissions that it has only toward itself and [`KERNEL`].
    pub(super) lacks_of_others: Vec<Permissions>,
    /// Permissions that no domain has toward it.
    pub(super) refuses: Vec<Permissions>,
    /// Permissions that it has if a boolean is on, by the boolean.
    pub(super) gains: BTreeMap<String, Vec<Permissions>>,
    /// True if it is permissive in every mode.
    pub(super) permissive: bool,
    /// Denials that are not logged.
    pub(super) dontaudit: Vec<Permissions>,
    /// Grants that are logged.
    pub(super) auditallow: Vec<Permissions>,
    /// The only numbers of `ioctl(2)` that it may use on files of its own type; if it is empty, all.
    pub(super) allowxperm_ioctl: Vec<u16>,
    /// The domain that it enters when it executes a file.
    pub(super) executes_into: Option<String>,
    /// The only policy that has the domain; `None` if all have it.
    pub(super) only_in: Option<String>,
}

/// The classes in which the domains of our policies differ.
///
/// # Errors
///
/// Mistakes in the table, which the project's tests rule out.
pub fn classes() -> Result<Vec<String>, TableError> {
    Ok(toml::from_str::<Table>(perfsec_cases::domains())?.classes)
}

/// A mistake in the table.
#[derive(Debug, thiserror::Error)]
#[error("read the table of domains")]
pub struct TableError(#[from] toml::de::Error);

impl Table {
    /// The domains of one of our policies.
    ///
    /// # Errors
    ///
    /// Mistakes in the table, which the project's tests rule out.
    pub(super) fn of(policy: &str) -> Result<Self, TableError> {
        let mut table: Self = toml::from_str(perfsec_cases::domains())?;
        table.domains.retain(|_, domain| domain.only_in.as_ref().is_none_or(|it| it == policy));
        Ok(table)
    }

    /// The booleans.
    pub(super) fn booleans(&self) -> BTreeSet<&str> {
        self.domains.values().flat_map(|domain| domain.gains.keys()).map(String::as_str).collect()
    }

    /// True if a domain refuses this permission to all.
    pub(super) fn is_refused(&self, class: &str, permission: &str) -> bool {
        self.domains.values().any(|domain| has(&domain.refuses, class, permission))
    }

    /// True if `source` has a permission toward `target` without a boolean. Both are domains, and
    /// the class is one of the table's.
    pub(super) fn allows(&self, source: &str, target: &str, class: &str, permission: &str) -> bool {
        let (Some(own), Some(other)) = (self.domains.get(source), self.domains.get(target)) else {
            return false;
        };
        let special = source == target || target == KERNEL;
        !has(&own.lacks, class, permission)
            && (special || !has(&own.lacks_of_others, class, permission))
            && !has(&other.refuses, class, permission)
    }
}

/// Permissions of one class, in the form of the policy language: `bpf { map_read }`, all others
/// `bpf ~{ map_read }`, or all `bpf`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Permissions {
    class: String,
    listed: BTreeSet<String>,
    /// True for all permissions except the listed ones.
    complement: bool,
}

impl TryFrom<String> for Permissions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mistake = || format!("expected `CLASS`, `CLASS {{ … }}` or `CLASS ~{{ … }}`: `{text}`");
        let (class, list) = match text.split_once(' ') {
            Some((class, list)) => (class, Some(list)),
            None => (text.as_str(), None),
        };
        let (list, complement) = match list {
            None => ("{}", true),
            Some(list) => list.strip_prefix('~').map_or((list, false), |list| (list, true)),
        };
        let list = list.strip_prefix('{').and_then(|list| list.strip_suffix('}'));
        let names = list.ok_or_else(mistake)?.split_whitespace();
        let listed = names.map(str::to_owned).collect();
        Ok(Self { class: class.to_owned(), listed, complement })
    }
}

impl Permissions {
    fn has(&self, class: &str, permission: &str) -> bool {
        self.class == class && self.listed.contains(permission) != self.complement
    }
}

/// True if one of the sets has the permission.
pub(super) fn has(sets: &[Permissions], class: &str, permission: &str) -> bool {
    sets.iter().any(|set| set.has(class, permission))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bpf", [true, true])]
    #[case("bpf { map_read }", [true, false])]
    #[case("bpf ~{ map_read }", [false, true])]
    #[case("bpf { map_read map_write }", [true, true])]
    fn permissions_are_all_some_or_all_but_some_of_a_class(
        #[case] text: &str,
        #[case] expected: [bool; 2],
    ) {
        let set = Permissions::try_from(text.to_owned()).unwrap();
        assert_eq!(["map_read", "map_write"].map(|name| set.has("bpf", name)), expected);
        assert!(!set.has("file", "map_read"));
    }

    #[rstest]
    #[case("bpf map_read")]
    #[case("bpf { map_read")]
    #[case("bpf ~map_read")]
    fn a_set_without_braces_is_refused(#[case] text: &str) {
        let error = Permissions::try_from(text.to_owned()).unwrap_err();
        assert!(error.contains(text), "{error}");
    }

    #[test]
    fn the_table_names_only_classes_permissions_and_domains_that_exist() {
        let table = Table::of("extra").unwrap();
        let classes = crate::policy::ours::Source::built_in("extra").unwrap().unwrap().classes;
        assert!(table.classes.is_sorted());
        for (name, domain) in &table.domains {
            let lists = [&domain.lacks, &domain.lacks_of_others, &domain.refuses];
            let audit = [&domain.dontaudit, &domain.auditallow];
            let sets = lists.into_iter().chain(audit).chain(domain.gains.values()).flatten();
            for set in sets {
                assert!(table.classes.contains(&set.class), "{name}: {set:?}");
                assert!(set.listed.is_subset(&classes[&set.class]), "{name}: {set:?}");
            }
            let entered = domain.executes_into.as_ref();
            assert!(entered.is_none_or(|entered| table.domains.contains_key(entered)), "{name}");
            let only = domain.only_in.as_deref();
            assert!(only.is_none_or(|only| perfsec_cases::policy(only).is_some()), "{name}");
        }
    }
}
