//! The domains of a cell as a module in CIL, for the policy of an ordinary machine.

use std::collections::BTreeSet;

use super::steps::Needs;
use crate::case::{Case, Coordinates};
use crate::policy::{domain_rules, entered_by};

/// Width of the lines, in columns.
const WIDTH: usize = 99;

/// The domain of root's shell on Fedora, RHEL and Debian.
const SHELL: &str = "unconfined_t";

/// Rules that any process needs: perfsec's policies allow everything that they do not name. Both
/// attributes are those of the reference policy.
const BASIC: [&str; 8] = [
    "(type DOMAIN)",
    "(roletype unconfined_r DOMAIN)",
    "(typeattributeset domain (DOMAIN))",
    "(allow DOMAIN file_type (file (all)))",
    "(allow DOMAIN file_type (dir (all)))",
    "(allow DOMAIN unconfined_t (fifo_file (all)))",
    "(allow DOMAIN unconfined_t (netlink_audit_socket (all)))",
    "(allow unconfined_t DOMAIN (process (all)))",
];

/// The domains that the processes of a cell can be in.
pub(super) fn of(case: &Case, at: &Coordinates, needs: &Needs) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = needs.domains.clone();
    all.insert(at.domain.clone());
    all.extend(case.processes.iter().map(|process| process.domain.clone()));
    let entered: Vec<_> = all.iter().filter_map(|domain| entered_by(domain)).collect();
    all.extend(entered);
    all
}

/// The lines of the module. Each begins with a statement, and ends with one.
pub(super) fn module(domains: &BTreeSet<String>, classes: &[&str]) -> String {
    let mut rules: Vec<String> = Vec::new();
    for domain in domains {
        rules.extend(BASIC.iter().map(|rule| rule.replace("DOMAIN", domain)));
    }
    for rule in domain_rules(domains, SHELL, classes) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    let mut lines = String::new();
    let mut column = 0;
    for rule in rules {
        if column > 0 && column + 1 + rule.len() <= WIDTH {
            lines.push(' ');
            column += 1;
        } else if column > 0 {
            lines.push('\n');
            column = 0;
        }
        column += rule.len();
        lines.push_str(&rule);
    }
    lines + "\n"
}
