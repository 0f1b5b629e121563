//! The domains of a cell as a module in CIL, for the policy of an ordinary machine.

use std::collections::BTreeSet;

use perfsec_wire::Mode;

use super::literal::string;
use crate::policy::domain_rules;

/// Rules that any process needs: perfsec's policies allow everything that they do not name. `%1$s`
/// is the role and `%2$s` the domain of whoever runs the program; both attributes are those of the
/// reference policy.
const BASIC: [&str; 5] = [
    "(type DOMAIN) (roletype %1$s DOMAIN) (typeattributeset domain (DOMAIN))",
    "(allow DOMAIN file_type (file (all)))",
    "(allow DOMAIN file_type (dir (all)))",
    "(allow DOMAIN %2$s (fifo_file (all)))",
    "(allow %2$s DOMAIN (process (all)))",
];

/// The lines of C that are the module.
///
/// In permissive mode the domains are permissive, so that the machine can stay enforcing.
pub(super) fn module(domains: &BTreeSet<String>, mode: Mode, classes: &[&str]) -> String {
    let mut rules: Vec<String> = Vec::new();
    for domain in domains {
        rules.extend(BASIC.iter().map(|rule| rule.replace("DOMAIN", domain)));
        if mode == Mode::Permissive {
            rules.push(format!("(typepermissive {domain})"));
        }
    }
    for rule in domain_rules(domains, "%2$s", classes) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let lines = rules.iter().map(|rule| format!("\t{}", string(&format!("{rule}\n"))));
    lines.collect::<Vec<_>>().join("\n")
}
