//! The rules of some of our domains, for a policy that has other domains too.

use std::collections::BTreeSet;

use super::ours::Source;
use super::table::{Permissions, Table, has};

/// Rules in CIL that give `domains` what the table of domains says, among themselves and toward
/// `parent`, in these classes; what our policies allow to every domain is not among them.
///
/// Each rule is a line. Unknown domains have no rules.
#[must_use]
pub fn domain_rules(domains: &BTreeSet<String>, parent: &str, classes: &[&str]) -> Vec<String> {
    let Ok(Some(source)) = Source::built_in("minimal") else { return Vec::new() };
    let table = &source.table;
    let mut rules = Vec::new();
    for (name, domain) in table.domains.iter().filter(|(name, _)| domains.contains(*name)) {
        if domain.permissive {
            rules.push(format!("(typepermissive {name})"));
        }
        if let Some(entered) = domain.executes_into.as_ref().filter(|it| domains.contains(*it)) {
            rules.push(format!("(typetransition {name} file_type process {entered})"));
        }
        for (boolean, gained) in &domain.gains {
            rules.push(format!("(boolean {boolean} false)"));
            for class in classes {
                let permissions = source.classes.get(*class).into_iter().flatten();
                let gains: Vec<_> =
                    permissions.filter(|it| has(gained, class, it)).map(String::as_str).collect();
                if !gains.is_empty() {
                    let access = format!("({class} ({}))", gains.join(" "));
                    rules.push(format!(
                        "(booleanif {boolean} (true (allow {name} {name} {access})))"
                    ));
                }
            }
        }
        for target in domains.iter().map(String::as_str).chain([parent]) {
            for class in classes {
                // A capability is a permission toward oneself.
                if class.starts_with("capability") && target != name {
                    continue;
                }
                let Some(permissions) = source.classes.get(*class) else { continue };
                let lacked = |it: &&String| !allows(table, (name, target, parent), class, it);
                let lacks: Vec<_> = permissions.iter().filter(lacked).map(String::as_str).collect();
                let access = match lacks.len() {
                    0 => "(all)".to_owned(),
                    all if all == permissions.len() => continue,
                    _ => format!("(not ({}))", lacks.join(" ")),
                };
                rules.push(format!("(allow {name} {target} ({class} {access}))"));
            }
        }
        let sets: [(&str, &[Permissions]); 2] =
            [("dontaudit", &domain.dontaudit), ("auditallow", &domain.auditallow)];
        for (kind, sets) in sets {
            for class in classes {
                let permissions = source.classes.get(*class).into_iter().flatten();
                let named: Vec<_> =
                    permissions.filter(|it| has(sets, class, it)).map(String::as_str).collect();
                if !named.is_empty() {
                    let named = named.join(" ");
                    rules.push(format!("({kind} {name} {name} ({class} ({named})))"));
                }
            }
        }
    }
    rules
}

/// True if a domain has a permission toward another, or toward the parent, which refuses nothing.
fn allows(
    table: &Table,
    (source, target, parent): (&str, &str, &str),
    class: &str,
    permission: &str,
) -> bool {
    let target = if target == parent { super::KERNEL } else { target };
    table.allows(source, target, class, permission)
}

/// True if our policies have a domain.
#[must_use]
pub fn is_domain(name: &str) -> bool {
    Table::of("minimal").is_ok_and(|table| table.domains.contains_key(name))
}

/// The domain that one of our domains enters when it executes a file.
#[must_use]
pub fn entered_by(name: &str) -> Option<String> {
    Table::of("minimal").ok()?.domains.get(name)?.executes_into.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(domains: &[&str], classes: &[&str]) -> Vec<String> {
        let domains = domains.iter().map(|name| (*name).to_owned()).collect();
        domain_rules(&domains, "shell_t", classes)
    }

    #[test]
    fn a_domain_has_all_but_what_it_lacks() {
        let found = rules(&["no_cpu_t"], &["perf_event", "fd"]);
        assert_eq!(
            found,
            [
                "(allow no_cpu_t no_cpu_t (perf_event (not (cpu))))",
                "(allow no_cpu_t no_cpu_t (fd (all)))",
                "(allow no_cpu_t shell_t (perf_event (not (cpu))))",
                "(allow no_cpu_t shell_t (fd (all)))",
            ]
        );
        assert_eq!(rules(&["none_t"], &["perf_event"]), [""; 0]);
    }

    #[test]
    fn a_permission_that_a_domain_lacks_of_others_it_has_of_itself_and_the_parent() {
        let found = rules(&["no_fd_t", "owner_t"], &["fd"]);
        let of = |target: &str| format!("(allow no_fd_t {target} (fd (all)))");
        assert!(found.contains(&of("no_fd_t")) && found.contains(&of("shell_t")), "{found:?}");
        assert!(!found.contains(&of("owner_t")), "{found:?}");
    }

    #[test]
    fn booleans_and_audit_rules_are_kept() {
        let found = rules(&["by_boolean_t"], &["perf_event"]).join("\n");
        assert!(found.contains("(booleanif perf_allowed (true (allow by_boolean_t"), "{found}");
        let found = rules(&["auditallow_t"], &["capability2"]).join("\n");
        assert!(found.contains("(auditallow auditallow_t auditallow_t (capability2 (perfmon)))"));
    }
}
