//! Reads the class declarations in the CIL of our policies.

use std::collections::{BTreeMap, BTreeSet};

/// Permissions by class.
pub(super) type Classes = BTreeMap<String, BTreeSet<String>>;

/// A CIL expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    /// A name or a string.
    Atom(&'a str),
    /// A list in parentheses.
    List(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    /// Its text, if it is an atom.
    pub(super) fn atom(&self) -> Option<&'a str> {
        match self {
            Self::Atom(text) => Some(text),
            Self::List(_) => None,
        }
    }

    /// Its items, if it is a list.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::Atom(_) => &[],
            Self::List(items) => items,
        }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.items().iter().filter_map(Self::atom).map(str::to_owned)
    }
}

/// Splits a source into its statements. It reports no mistake: `secilc` compiles the same text, and
/// it does.
pub(super) fn statements(source: &str) -> Vec<Node<'_>> {
    let mut open = vec![Vec::new()];
    let lines = source.lines().map(|line| line.split_once(';').map_or(line, |(code, _)| code));
    for token in lines.flat_map(tokens) {
        match token {
            "(" => open.push(Vec::new()),
            ")" if open.len() > 1 => {
                let list = open.pop().unwrap_or_default();
                if let Some(outer) = open.last_mut() {
                    outer.push(Node::List(list));
                }
            }
            atom => open.last_mut().into_iter().for_each(|list| list.push(Node::Atom(atom))),
        }
    }
    open.swap_remove(0)
}

fn tokens(line: &str) -> impl Iterator<Item = &str> {
    line.split_inclusive(['(', ')'])
        .flat_map(str::split_whitespace)
        .flat_map(|word| match word.strip_suffix(['(', ')']) {
            Some(atom) => [atom, &word[atom.len()..]],
            None => [word, ""],
        })
        .filter(|token| !token.is_empty())
}

/// The classes that statements declare, with the permissions of their commons.
pub(super) fn classes(statements: &[Node<'_>]) -> Classes {
    let (mut classes, mut commons) = (Classes::new(), Classes::new());
    let mut inherited = Vec::new();
    for statement in statements {
        match statement.items() {
            [Node::Atom("class"), Node::Atom(name), permissions] => {
                classes.entry((*name).to_owned()).or_default().extend(permissions.names());
            }
            [Node::Atom("common"), Node::Atom(name), permissions] => {
                commons.entry((*name).to_owned()).or_default().extend(permissions.names());
            }
            [Node::Atom("classcommon"), Node::Atom(class), Node::Atom(common)] => {
                inherited.push((*class, *common));
            }
            _ => {}
        }
    }
    for (class, common) in inherited {
        let permissions = commons.get(common).cloned().unwrap_or_default();
        classes.entry(class.to_owned()).or_default().extend(permissions);
    }
    classes
}

/// True if statements say that the kernel allows what the policy does not define.
pub(super) fn allows_unknown(statements: &[Node<'_>]) -> bool {
    sets(statements, "handleunknown", "allow")
}

/// True if statements say that contexts have a level.
pub(super) fn has_levels(statements: &[Node<'_>]) -> bool {
    sets(statements, "mls", "true")
}

/// The booleans that a text declares, as the compiler of policy packages writes it: each statement
/// on a line of its own. A distribution's modules have tens of megabytes.
pub(super) fn booleans(source: &str) -> impl Iterator<Item = String> {
    let declared = source.lines().filter_map(|line| line.trim_start().strip_prefix("(boolean "));
    declared.filter_map(|line| line.split_whitespace().next()).map(str::to_owned)
}

/// True if a statement gives this setting this value.
fn sets(statements: &[Node<'_>], setting: &str, value: &str) -> bool {
    let wanted = [Node::Atom(setting), Node::Atom(value)];
    statements.iter().any(|statement| statement.items() == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_a_tree_without_comments() {
        let (a, b) = (Node::Atom("a"), Node::Atom("b"));
        let inner = Node::List(vec![b.clone(), Node::List(Vec::new())]);
        let read = statements("; (c)\n(a (b())) ; d\n\n( a\n b )");
        assert_eq!(read, [Node::List(vec![a.clone(), inner]), Node::List(vec![a, b])]);
    }

    #[test]
    fn a_class_has_its_own_permissions_and_those_of_its_common() {
        let source = "(class dir (search))(class fd (use))(common any (read))(classcommon dir any)";
        let classes = classes(&statements(source));
        let has = |class: &str| classes[class].iter().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(
            (classes.len(), has("dir"), has("fd")),
            (2, vec!["read", "search"], vec!["use"])
        );
    }

    #[test]
    fn only_allow_allows_the_unknown() {
        for (handling, allows) in [("allow", true), ("deny", false), ("reject", false)] {
            let source = format!("(mls true)(handleunknown {handling})");
            assert_eq!(allows_unknown(&statements(&source)), allows);
        }
    }
}
