//! Generates the CIL of the domains: for our own policies, and as a module for another one.
//!
//! To compute an access vector, the kernel looks up each attribute of the source with each of the
//! target (`context_struct_compute_av()`), and each cell needs some twenty vectors. So the rules
//! name types as their source, and a type has no attribute but `domain` and `anything`.

use std::fmt::Write as _;

use perfsec_wire::here::OUR_DOMAINS;

use super::cil::Classes;
use super::table::{Domain, KERNEL, OBJECT, Table, has};

/// The role of our domains in another policy. Those that derive from the reference policy have it,
/// and the user `system_u` may take it.
pub(super) const ROLE: &str = "system_r";

/// All types of another policy.
const OTHERS: &str = "perfsec_other";

/// Our domains and that of the agent, in another policy.
const TARGETS: &str = "perfsec_target";

/// The types and rules of the domains, and the order of the classes.
pub(super) fn rules(table: &Table, classes: &Classes) -> String {
    let names = Names { domains: "domain", kernel: KERNEL, object: OBJECT };
    let mut cil = Cil { text: String::new(), classes, names };
    let domains: Vec<_> = table.domains.keys().map(String::as_str).collect();
    let names: Vec<_> = classes.keys().map(String::as_str).collect();
    cil.line(&format!("(classorder (unordered {}))", names.join(" ")));
    domains.iter().for_each(|name| cil.line(&format!("(type {name})")));
    cil.line(&format!("(typeattribute domain)(typeattributeset domain ({}))", domains.join(" ")));
    cil.line(&format!("(typeattribute anything)(typeattributeset anything (domain {OBJECT}))"));
    for class in classes.keys().filter(|class| !table.classes.contains(class)) {
        cil.line(&format!("(allow anything anything ({class} (all)))"));
    }
    cil.line(&format!("(allow domain {OBJECT} (file (all)))"));
    for boolean in table.booleans() {
        cil.line(&format!("(boolean {boolean} false)"));
    }
    for (name, domain) in &table.domains {
        cil.domain(name, domain, table);
    }
    cil.text
}

/// A module that adds the domains to a policy that defines these classes. `agent` is the type of
/// the agent's domain there.
///
/// The domains have every permission to the policy's own types, and these to them, except that the
/// table tells what a domain may do to the agent. They get none of the policy's attributes, whose
/// rules would allow more than the table does.
pub(super) fn module(table: &Table, classes: &Classes, agent: &str) -> String {
    let names = Names { domains: TARGETS, kernel: agent, object: OTHERS };
    let mut cil = Cil { text: String::new(), classes, names };
    let ours = || table.domains.iter().filter(|(name, _)| *name != KERNEL);
    let all = ours().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    for (name, _) in ours() {
        cil.line(&format!("(type {name})"));
        cil.line(&format!("(roletype {ROLE} {name})"));
    }
    cil.line(&format!("(typeattribute {OUR_DOMAINS})(typeattributeset {OUR_DOMAINS} ({all}))"));
    cil.line(&format!("(typeattribute {TARGETS})(typeattributeset {TARGETS} ({agent} {all}))"));
    cil.line(&format!("(typeattribute {OTHERS})(typeattributeset {OTHERS} (not ({OUR_DOMAINS})))"));
    for class in classes.keys() {
        cil.line(&format!("(allow {OTHERS} {OUR_DOMAINS} ({class} (all)))"));
        let differs = table.classes.contains(class);
        if !differs || class == "file" {
            cil.line(&format!("(allow {OUR_DOMAINS} {OTHERS} ({class} (all)))"));
        }
        if !differs {
            cil.line(&format!("(allow {OUR_DOMAINS} {OUR_DOMAINS} ({class} (all)))"));
        }
    }
    for boolean in table.booleans() {
        cil.line(&format!("(boolean {boolean} false)"));
    }
    for class in &table.classes {
        // The agent's domain refuses nothing.
        cil.rule("allow", (OUR_DOMAINS, agent), class, |it| table.is_refused(class, it));
    }
    for (name, domain) in ours() {
        cil.domain(name, domain, table);
    }
    cil.text
}

struct Cil<'a> {
    text: String,
    classes: &'a Classes,
    names: Names<'a>,
}

/// Names of a policy.
#[derive(Clone, Copy)]
struct Names<'a> {
    /// The attribute of all domains in the table, that of the agent included.
    domains: &'a str,
    /// The type of [`KERNEL`].
    kernel: &'a str,
    /// The type or attribute of [`OBJECT`].
    object: &'a str,
}

impl Cil<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn domain(&mut self, name: &str, domain: &Domain, table: &Table) {
        let Names { domains, kernel, object } = self.names;
        if domain.permissive {
            self.line(&format!("(typepermissive {name})"));
        }
        if let Some(entered) = &domain.executes_into {
            self.line(&format!("(typetransition {name} {object} process {entered})"));
        }
        if !domain.allowxperm_ioctl.is_empty() {
            let numbers: Vec<_> =
                domain.allowxperm_ioctl.iter().map(|number| format!("{number:#x}")).collect();
            self.line(&format!("(allowx {name} self (ioctl file ({})))", numbers.join(" ")));
        }
        for class in &table.classes {
            let lacks = |it: &str| has(&domain.lacks, class, it);
            let of_others = |it: &str| has(&domain.lacks_of_others, class, it);
            let refused = |it: &str| table.is_refused(class, it);
            let plain = |it: &str| !lacks(it) && !of_others(it) && !refused(it);
            self.rule("allow", (name, domains), class, plain);
            for target in ["self", kernel] {
                self.rule("allow", (name, target), class, |it| of_others(it) && !lacks(it));
            }
            // No domain lacks a permission that another refuses.
            let accepted = |it: &str| refused(it) && !has(&domain.refuses, class, it);
            self.rule("allow", (domains, name), class, accepted);
            for (kind, sets) in
                [("dontaudit", &domain.dontaudit), ("auditallow", &domain.auditallow)]
            {
                self.rule(kind, (name, domains), class, |it| has(sets, class, it));
            }
            for (boolean, gained) in &domain.gains {
                if let Some(access) = self.access(class, |it| has(gained, class, it)) {
                    let rule = format!("(allow {name} {domains} {access})");
                    self.line(&format!("(booleanif {boolean} (true {rule}))"));
                }
            }
        }
    }

    /// Writes a rule about those of a class's permissions that `has` selects.
    fn rule(
        &mut self,
        kind: &str,
        (source, target): (&str, &str),
        class: &str,
        has: impl Fn(&str) -> bool,
    ) {
        if let Some(access) = self.access(class, has) {
            self.line(&format!("({kind} {source} {target} {access})"));
        }
    }

    /// A class with some of its permissions; `None` if the policy defines none of them.
    fn access(&self, class: &str, has: impl Fn(&str) -> bool) -> Option<String> {
        let mut permissions = String::new();
        for permission in self.classes.get(class)?.iter().filter(|it| has(it)) {
            let _ = write!(permissions, " {permission}");
        }
        (!permissions.is_empty()).then(|| format!("({class} ({}))", permissions.trim_start()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::policy::cil::{Node, statements};
    use crate::policy::ours::Source;
    use crate::policy::{Answer, Answers, TableAnswers};

    /// A generated policy, read again.
    struct Rules<'a> {
        source: &'a Source,
        statements: Vec<Node<'a>>,
        booleans: bool,
    }

    impl Rules<'_> {
        /// True if a rule of this kind covers an access.
        fn has(&self, kind: &str, access: [&str; 4]) -> bool {
            self.statements.iter().any(|statement| match statement.items() {
                [Node::Atom("booleanif"), _, then] if self.booleans => {
                    self.covers(then.items()[1].items(), kind, access)
                }
                statement => self.covers(statement, kind, access),
            })
        }

        fn covers(&self, rule: &[Node<'_>], kind: &str, access: [&str; 4]) -> bool {
            let [from, to, class, permission] = access;
            let [Node::Atom(word), Node::Atom(sources), Node::Atom(targets), asked] = rule else {
                return false;
            };
            let is = |set: &str, name: &str| match set {
                "domain" | TARGETS => self.source.table.domains.contains_key(name),
                OUR_DOMAINS => name != KERNEL && self.source.table.domains.contains_key(name),
                OTHERS => name == KERNEL || name == OBJECT,
                "self" => name == from,
                set => set == "anything" || set == name,
            };
            let [Node::Atom(of), permissions] = asked.items() else { return false };
            let all = permissions.items() == [Node::Atom("all")];
            (*word, *of) == (kind, class)
                && is(sources, from)
                && is(targets, to)
                && (all || permissions.items().contains(&Node::Atom(permission)))
        }

        fn answer(&self, access: [&str; 4]) -> Answer {
            let permissive = [Node::Atom("typepermissive"), Node::Atom(access[0])];
            Answer {
                allowed: self.has("allow", access),
                audit_denied: !self.has("dontaudit", access),
                audit_granted: self.has("auditallow", access),
                permissive: self.statements.iter().any(|it| it.items() == permissive),
            }
        }
    }

    #[rstest]
    #[case("extra", false)]
    #[case("extra", true)]
    #[case("legacy-class-deny", true)]
    #[case("legacy-perfmon-allow", true)]
    fn the_generated_rules_and_the_table_give_the_same_answers(
        #[case] policy: &str,
        #[case] booleans: bool,
    ) {
        let source = Source::built_in(policy).unwrap().unwrap();
        let answers = TableAnswers::of(policy).unwrap().unwrap();
        let answers = answers.with_boolean("perf_allowed", booleans);
        let text = rules(&source.table, &source.classes);
        let rules = Rules { source: &source, statements: statements(&text), booleans };
        // Of those in which domains do not differ, one is enough.
        let differ = |class: &str| source.table.classes.iter().any(|it| it == class);
        let classes = source.classes.iter().filter(|(class, _)| differ(class) || *class == "dir");
        for (class, permissions) in classes {
            for from in source.table.domains.keys().map(String::as_str).chain([OBJECT]) {
                for to in [from, "owner_t", "no_nnp_t", "no_nosuid_t", KERNEL, OBJECT] {
                    for permission in permissions {
                        let access @ [from, to, class, it] = [from, to, class, permission];
                        let answer = answers.answer(from, to, class, it);
                        assert_eq!(rules.answer(access), answer, "{access:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_domain_has_the_same_answers_in_a_policy_that_it_is_added_to() {
        let source = Source::built_in("minimal").unwrap().unwrap();
        let answers = TableAnswers::of("minimal").unwrap().unwrap();
        let text = module(&source.table, &source.classes, KERNEL);
        let rules = Rules { source: &source, statements: statements(&text), booleans: false };
        for (class, permissions) in &source.classes {
            for from in source.table.domains.keys().filter(|name| *name != KERNEL) {
                for to in [from.as_str(), "owner_t", "no_nnp_t", "no_share_t", KERNEL, OBJECT] {
                    for it in permissions {
                        let access = [from.as_str(), to, class, it];
                        let answer = answers.answer(from, to, class, it);
                        assert_eq!(rules.answer(access), answer, "{access:?}");
                    }
                }
            }
        }
    }
}
