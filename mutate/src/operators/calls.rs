//! Calls whose result is ignored, and calls that are not made.

use tree_sitter::Node;

use super::checks;
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, Returns, children, field, operator, statement};
use crate::skip;

/// Parts of the names of functions without a result whose absence a user can notice.
const NOTICEABLE: &[&str] = &[
    "audit",
    "avc",
    "cap",
    "cred",
    "security",
    "selinux",
    "perm",
    "privileged",
    "sid",
    "dump",
    "show",
    "log",
    "put_user",
    "copy_to_user",
];

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    if node.kind() == "expression_statement" {
        without_result(f, node, out);
    } else if node.kind() == "call_expression" {
        let Some(success) = success(f, node) else { return };
        let name = f.callee(node).unwrap_or_default();
        if !skip::is_pure(name) && !is_tested(f, node) {
            let ignored = format!("({}, {success})", f.text(node));
            out.value(Operator::IgnoreResult, node, ignored);
        }
        if decides(name) {
            out.value(Operator::SkipCall, node, success);
        }
    } else if let Some(condition) = checks::check(f, node) {
        for (call, success) in asked(f, condition, "0", "1") {
            let ignored = format!("({}, {success})", f.text(call));
            out.truth(Operator::IgnoreResult, call, ignored);
        }
    }
}

fn without_result(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(call) = children(node).into_iter().next() else { return };
    if call.kind() != "call_expression" {
        return;
    }
    let name = field(call, "function").map_or("", |function| f.text(function));
    if NOTICEABLE.iter().any(|part| name.contains(part)) {
        let field = super::audit::logs(name);
        out.statement(if field { Operator::DropField } else { Operator::SkipCall }, node, "");
    }
}

/// The value with which a call that is assigned to a result, or returned, succeeds.
fn success(f: &Function<'_>, call: Node<'_>) -> Option<&'static str> {
    let mut parent = call.parent()?;
    while parent.kind() == "parenthesized_expression" {
        parent = parent.parent()?;
    }
    let result = |node: Option<Node<'_>>| node.is_some_and(|node| checks::is_result(f.text(node)));
    match parent.kind() {
        "assignment_expression" if operator(parent) == "=" => {
            result(field(parent, "left")).then_some("0")
        }
        "init_declarator" => result(field(parent, "declarator")).then_some("0"),
        "return_statement" => match f.returns {
            Returns::Truth => Some("true"),
            Returns::Number => Some("0"),
            Returns::Nothing | Returns::Other => None,
        },
        _ => None,
    }
}

/// True if the next statement tests nothing but the result: to drop it is to ignore the result.
fn is_tested(f: &Function<'_>, call: Node<'_>) -> bool {
    let next = statement(call).and_then(|statement| statement.next_named_sibling());
    let Some(condition) = next.and_then(|next| checks::check(f, next)) else { return false };
    checks::is_result(f.text(f.core(condition)))
}

/// True for functions that decide, or ask another that does.
pub(crate) fn decides(name: &str) -> bool {
    let is_word = |word: &str| {
        matches!(
            word,
            "security"
                | "selinux"
                | "allow"
                | "capable"
                | "cap"
                | "perm"
                | "permission"
                | "avc"
                | "audit"
                | "may"
                | "ptrace"
                | "privileged"
                | "caps"
                | "capability"
        )
    };
    name.split('_').any(is_word)
}

/// The calls in a condition, each with the value that keeps the check from leaving.
fn asked<'t>(
    f: &Function<'_>,
    condition: Node<'t>,
    no: &'static str,
    yes: &'static str,
) -> Vec<(Node<'t>, &'static str)> {
    let node = f.core(condition);
    let part = |name| field(node, name).map(|part| asked(f, part, no, yes)).unwrap_or_default();
    match node.kind() {
        "call_expression" if f.callee(node).is_some_and(|name| !skip::is_pure(name)) => {
            vec![(node, no)]
        }
        "unary_expression" if operator(node) == "!" => {
            field(node, "argument").map(|inner| asked(f, inner, yes, no)).unwrap_or_default()
        }
        "binary_expression" if matches!(operator(node), "&&" | "||") => {
            let mut found = part("left");
            found.extend(part("right"));
            found
        }
        _ => Vec::new(),
    }
}
