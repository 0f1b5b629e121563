//! Conditions that are inverted, lack an operand, or compare with the neighbouring value.

use tree_sitter::Node;

use super::{calls, checks};
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{
    Function, Returns, ancestors, children, condition, descendants, field, operator,
};

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    match node.kind() {
        "if_statement" => {
            // Refusing exactly what was allowed is noticed by whoever notices that the check is
            // missing, unless the check is a question that also leaves a record.
            let Some(condition) = condition(node) else { return };
            if checks::check(f, node).is_none() || asks(f, condition) {
                negate(f, condition, out);
            }
        }
        "conditional_expression" => {
            if let Some(condition) = field(node, "condition") {
                negate(f, condition, out);
            }
        }
        "return_statement" if f.returns == Returns::Truth => {
            let constant = |value: &Node<'_>| matches!(value.kind(), "true" | "false");
            if let Some(value) = children(node).into_iter().next().filter(|v| !constant(v)) {
                negate(f, value, out);
            }
        }
        "binary_expression" => match operator(node) {
            "&&" | "||" => logical(f, node, out),
            "==" | "!=" | "<" | "<=" | ">" | ">=" => compare(f, node, out),
            _ => {}
        },
        _ => {}
    }
}

/// True if the condition calls a function that decides.
fn asks(f: &Function<'_>, condition: Node<'_>) -> bool {
    descendants(condition).into_iter().filter_map(|node| f.callee(node)).any(calls::decides)
}

fn negate(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let node = f.core(node);
    // `if (!err)` after a call refuses whatever was allowed, which any use of the function shows.
    if checks::is_result(f.text(node)) {
        return;
    }
    out.truth(Operator::Negate, node, inverted(f, node));
}

fn logical(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    let other = if operator(node) == "&&" { "||" } else { "&&" };
    out.truth(Operator::Negate, node, f.text(f.core(left)));
    // In `a && b && c`, the inner node drops `a` and `b`.
    if !(left.kind() == "binary_expression" && operator(left) == operator(node)) {
        out.truth(Operator::Negate, node, f.text(f.core(right)));
    }
    let operand = |side: Node<'_>| {
        let mixed = side.kind() == "binary_expression" && matches!(operator(side), "&&" | "||");
        if mixed { format!("({})", f.text(side)) } else { f.text(side).to_owned() }
    };
    out.truth(Operator::Negate, node, format!("{} {other} {}", operand(left), operand(right)));
}

/// The opposite of a condition, in the way in which a person writes it.
fn inverted(f: &Function<'_>, node: Node<'_>) -> String {
    let text = f.text(node);
    match node.kind() {
        "unary_expression" if operator(node) == "!" => {
            field(node, "argument").map_or("0", |inner| f.text(f.core(inner))).to_owned()
        }
        "binary_expression" => {
            let opposite = match operator(node) {
                "==" => "!=",
                "!=" => "==",
                "<" => ">=",
                ">=" => "<",
                ">" => "<=",
                "<=" => ">",
                _ => return format!("!({text})"),
            };
            with_operator(f, node, opposite)
        }
        "assignment_expression"
        | "conditional_expression"
        | "cast_expression"
        | "comma_expression" => format!("!({text})"),
        _ => format!("!{text}"),
    }
}

fn with_operator(f: &Function<'_>, node: Node<'_>, operator: &str) -> String {
    let whole = f.range(node);
    let text = f.text(node);
    match field(node, "operator").map(|node| f.range(node)) {
        Some(old) => format!(
            "{}{operator}{}",
            &text[..old.start - whole.start],
            &text[old.end - whole.start..]
        ),
        None => text.to_owned(),
    }
}

fn compare(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    // An inequality moves by one; which way of writing that is left depends on its operator.
    let (neighbour, up, down) = match operator(node) {
        "<" => ("<=", false, true),
        "<=" => ("<", true, false),
        ">" => (">=", true, false),
        ">=" => (">", false, true),
        "==" => ("!=", true, false),
        _ => ("==", true, false),
    };
    out.truth(Operator::Boundary, node, with_operator(f, node, neighbour));
    let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else { return };
    // A result is compared with 0 for its sign; no function returns its neighbours.
    if checks::is_result(f.text(left)) {
        return;
    }
    let bound = ancestors(node).any(|outer| outer.kind() == "for_statement")
        && node.parent().is_some_and(|parent| parent.kind() == "for_statement");
    let Some(value) = number(f, right).filter(|_| !bound) else { return };
    for (wanted, moved) in [(up, value.checked_add(1)), (down, value.checked_sub(1))] {
        if let Some(moved) = moved.filter(|_| wanted) {
            out.value(Operator::Boundary, right, moved.to_string());
        }
    }
}

/// The value of a decimal number, which may have a sign.
fn number(f: &Function<'_>, node: Node<'_>) -> Option<i64> {
    let plain = node.kind() == "number_literal"
        || (node.kind() == "unary_expression"
            && operator(node) == "-"
            && field(node, "argument").is_some_and(|inner| inner.kind() == "number_literal"));
    let text = f.text(node);
    // An octal number is a mode.
    let octal = text.len() > 1 && text.starts_with('0');
    if plain && !octal { text.parse().ok() } else { None }
}
