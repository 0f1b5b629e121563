//! Extends a module in CIL.
//!
//! A class is declared once in a policy, with all its permissions. So a module beside the base
//! module cannot add a permission to `capability2`: the module that declares the class must be
//! replaced.

use super::super::cil::{Node, statements};
use super::declared::{Declared, Kind, List};
use super::rewrite::Insertions;
use super::wanted::{DomainName, Wanted};

/// A statement at the top level of a source.
#[derive(Debug, PartialEq, Eq)]
struct Statement<'a> {
    text: &'a str,
    /// Offset of its last character.
    end: usize,
    /// Offset of the character that closes the last list in it.
    close: Option<usize>,
}

/// The source with what it lacks.
///
/// # Errors
///
/// The name of a class that it must declare and does not.
pub(super) fn extend(source: &str, wanted: &Wanted) -> Result<String, &'static str> {
    let mut declared = Declared::default();
    let (mut order, mut last) = (None, None);
    for statement in top_level(source) {
        // Most of a module is rules.
        if !["(class", "(common"].iter().any(|word| statement.text.starts_with(word)) {
            continue;
        }
        let parsed = statements(statement.text);
        let items = parsed.first().map(Node::items).unwrap_or_default();
        let (kind, name, permissions) = match items {
            [Node::Atom("class"), Node::Atom(name), permissions] => {
                last = Some(statement.end + 1);
                (Kind::Class, *name, permissions)
            }
            [Node::Atom("common"), Node::Atom(name), permissions] => {
                (Kind::Common, *name, permissions)
            }
            [Node::Atom("classcommon"), Node::Atom(class), Node::Atom(common)] => {
                declared.inherits.insert(class, common);
                continue;
            }
            [Node::Atom("classorder"), _] => {
                order = statement.close;
                continue;
            }
            _ => continue,
        };
        let permissions = permissions.items().iter().filter_map(Node::atom).collect();
        declared.lists.push(List { kind, name, permissions, close: statement.close });
    }
    let lack = declared.lack(&wanted.classes())?;
    let mut insertions = Insertions::default();
    let in_list = |at: usize, names: &str| {
        // `semodule` leaves a space before the end of a list.
        let apart = !source[..at].ends_with([' ', '(', '\n', '\t']);
        format!("{}{names}", if apart { " " } else { "" })
    };
    for (at, names) in &lack.permissions {
        insertions.add(*at, in_list(*at, &names.join(" ")));
    }
    let last = last.unwrap_or(source.len());
    for class in &lack.classes {
        let (name, permissions) = (class.name, class.permissions.join(" "));
        insertions.add(last, format!("\n(class {name} ({permissions}))"));
        match order {
            Some(at) => insertions.add(at, in_list(at, name)),
            None => insertions.add(last, format!("\n(classorder (unordered {name}))")),
        }
    }
    for domain in &wanted.domains {
        insertions.add(source.len(), rules(source, domain));
    }
    Ok(insertions.apply(source))
}

/// Rules that let a domain use perf, as far as the source does not have them. If another module
/// declares its type, they are an optional block, which holds if that module is there.
fn rules(source: &str, domain: &DomainName) -> String {
    let has_line = |line: &str| source.lines().any(|it| it.trim() == line);
    let rules = Wanted::rules().map(|(class, permissions)| {
        format!("(allow {domain} self ({class} ({})))", permissions.join(" "))
    });
    let rules: Vec<_> = rules.iter().filter(|rule| !has_line(rule)).collect();
    let first = if source.is_empty() || source.ends_with('\n') { "" } else { "\n" };
    if rules.is_empty() {
        String::new()
    } else if declares(source, domain) {
        rules.iter().fold(first.to_owned(), |text, rule| format!("{text}{rule}\n"))
    } else {
        let rules = rules.iter().map(|rule| format!("\n    {rule}"));
        format!("{first}(optional perf_{domain}{}\n)\n", rules.collect::<String>())
    }
}

/// True if the source declares the type.
pub(super) fn declares(source: &str, domain: &DomainName) -> bool {
    let declared = format!("(type {domain})");
    source.lines().any(|line| line.trim_start().starts_with(&declared))
}

/// True if the source looks like CIL: if it begins with a statement or a comment of that language.
pub(super) fn is_cil(source: &str) -> bool {
    top_level(source).next().is_some() && source.trim_start().starts_with(['(', ';'])
}

/// Splits a source into its statements at the top level. A mistake in it is the compiler's to
/// report.
fn top_level(source: &str) -> impl Iterator<Item = Statement<'_>> {
    let (mut depth, mut begin, mut close) = (0_usize, 0, None);
    let (mut comment, mut quoted) = (false, false);
    source.bytes().enumerate().filter_map(move |(at, byte)| {
        match byte {
            b'\n' => comment = false,
            _ if comment => {}
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b';' => comment = true,
            b'(' => {
                if depth == 0 {
                    (begin, close) = (at, None);
                }
                depth += 1;
            }
            b')' if depth == 1 => {
                depth = 0;
                return Some(Statement { text: &source[begin..=at], end: at, close });
            }
            b')' if depth > 1 => {
                depth -= 1;
                close = Some(at);
            }
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_their_parentheses_do() {
        let source = "; (a)\n(b (c) ; )\n(d))(e \")\")\n";
        let found: Vec<_> = top_level(source).collect();
        let statement = |text, end, close| Statement { text, end, close };
        assert_eq!(
            found,
            [statement("(b (c) ; )\n(d))", 20, Some(19)), statement("(e \")\")", 27, None)]
        );
    }
}
