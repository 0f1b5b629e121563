//! Constants that are assigned or returned.

use tree_sitter::Node;

use super::checks;
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, ancestors, descendants, field, operator};
use crate::modes;

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(parent) = node.parent() else { return };
    // The mode of a file that the function creates.
    if ancestors(node).any(|outer| outer.kind() == "argument_list") {
        for other in modes::others(f.text(node)) {
            out.value(Operator::Default, node, *other);
        }
    }
    let used = match parent.kind() {
        "return_statement" => true,
        "assignment_expression" => field(parent, "right") == Some(node) && operator(parent) == "=",
        "init_declarator" => field(parent, "value") == Some(node) && !is_dead(f, parent),
        "conditional_expression" => field(parent, "condition") != Some(node),
        _ => false,
    };
    if !used {
        return;
    }
    match (node.kind(), f.text(node)) {
        ("true", _) => out.value(Operator::OtherConstant, node, "false"),
        ("false", _) => out.value(Operator::OtherConstant, node, "true"),
        ("number_literal", "0") => out.value(Operator::OtherConstant, node, "1"),
        ("number_literal", text) => {
            let octal = text.starts_with('0');
            if let Some(number) = text.parse::<i64>().ok().filter(|_| !octal) {
                out.value(Operator::OtherConstant, node, number.saturating_add(1).to_string());
                out.value(Operator::OtherConstant, node, number.saturating_sub(1).to_string());
            }
        }
        _ => {}
    }
}

/// True if a variable is assigned again before anything reads its first value.
fn is_dead(f: &Function<'_>, declarator: Node<'_>) -> bool {
    let Some(name) = field(declarator, "declarator").map(|name| f.text(name)) else { return false };
    let Some(block) = ancestors(declarator).find(|outer| outer.kind() == "compound_statement")
    else {
        return false;
    };
    let next = descendants(block).into_iter().find(|node| {
        node.kind() == "identifier"
            && node.start_byte() >= declarator.end_byte()
            && f.text(*node) == name
    });
    let Some(next) = next else { return checks::is_result(name) };
    let Some(assignment) = next.parent() else { return false };
    let statement = assignment.parent();
    field(assignment, "left") == Some(next)
        && operator(assignment) == "="
        && statement.is_some_and(|statement| statement.parent() == Some(block))
        // The value of the assignment can read the variable too.
        && field(assignment, "right").is_some_and(|right| {
            descendants(right).into_iter().all(|node| f.text(node) != name)
        })
        && !jumps(block, declarator, next)
}

/// True if the code between two places can jump over the second.
fn jumps(block: Node<'_>, from: Node<'_>, to: Node<'_>) -> bool {
    descendants(block).into_iter().any(|node| {
        node.kind() == "goto_statement"
            && node.start_byte() > from.end_byte()
            && node.end_byte() < to.start_byte()
    })
}
