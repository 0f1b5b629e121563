//! Checks that leave the function, and the operator that drops them.

use tree_sitter::Node;

use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, children, condition, descendants, field, operator};
use crate::skip;

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(condition) = check(f, node) else { return };
    // A guest does not run out of memory, and no test can ask a kernel to break its own rules.
    if !lacks_memory(f, node) && !skip::warns(f, condition) {
        out.never_taken(Operator::DropCheck, node);
    }
}

/// The condition of an `if` whose branch leaves the function, or decides its result.
pub(crate) fn check<'t>(f: &Function<'_>, node: Node<'t>) -> Option<Node<'t>> {
    let condition = condition(node)?;
    leaves(f, field(node, "consequence")?).then_some(condition)
}

fn leaves(f: &Function<'_>, node: Node<'_>) -> bool {
    match node.kind() {
        "return_statement" | "goto_statement" => true,
        "compound_statement" => children(node).last().is_some_and(|last| leaves(f, *last)),
        "expression_statement" => children(node).first().is_some_and(|node| is_refusal(f, *node)),
        _ => false,
    }
}

/// True for `err = -EPERM`.
fn is_refusal(f: &Function<'_>, node: Node<'_>) -> bool {
    node.kind() == "assignment_expression"
        && operator(node) == "="
        && field(node, "right").is_some_and(|right| errno(f, right).is_some())
}

/// The name of the errno in `-EPERM`.
pub(crate) fn errno<'a>(f: &Function<'a>, node: Node<'_>) -> Option<&'a str> {
    let name = field(node, "argument").filter(|_| operator(node) == "-")?;
    let text = f.text(name);
    let known = name.kind() == "identifier"
        && text.starts_with('E')
        && text.len() > 2
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    known.then_some(text)
}

/// True if the branch is taken for lack of memory: it says so, or what it tests was just allocated.
pub(crate) fn lacks_memory(f: &Function<'_>, node: Node<'_>) -> bool {
    let says = field(node, "consequence").is_some_and(|branch| {
        descendants(branch).into_iter().any(|node| errno(f, node) == Some("ENOMEM"))
    });
    let allocates = |node: Node<'_>| {
        let calls = descendants(node).into_iter().filter_map(|node| f.callee(node));
        node.kind() == "expression_statement"
            && calls.into_iter().any(|name| name.contains("alloc"))
    };
    says || node.prev_named_sibling().is_some_and(allocates)
}

/// True for a variable that holds a result: 0, or a negative errno.
pub(crate) fn is_result(name: &str) -> bool {
    matches!(
        name,
        "err" | "ret" | "rc" | "rc2" | "error" | "retval" | "result" | "res" | "rv" | "status"
    )
}
