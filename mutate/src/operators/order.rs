//! Neighbouring checks in the other order.

use tree_sitter::Node;

use super::checks;
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, arguments, children, descendants, field, operator};
use crate::{scan, skip};

/// A run of statements that can leave the function.
struct Unit<'t> {
    statements: Vec<Node<'t>>,
}

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    if node.kind() != "compound_statement" {
        return;
    }
    let mut last: Option<Unit<'_>> = None;
    let mut assignment: Option<Node<'_>> = None;
    for statement in children(node) {
        let check = statement.kind() == "if_statement"
            && can_leave(statement)
            && !checks::lacks_memory(f, statement);
        if check {
            let tested = assignment.take().filter(|assignment| {
                assigned(f, &[*assignment]).iter().any(|name| mentions(f, &[statement], name))
            });
            let unit = Unit { statements: tested.into_iter().chain([statement]).collect() };
            if let Some(before) = &last {
                let adjacent = before.statements.last().and_then(|node| node.next_named_sibling())
                    == unit.statements.first().copied();
                if adjacent && independent(f, before, &unit) && !same(f, before, &unit) {
                    out.swap(Operator::SwapChecks, &before.statements, &unit.statements);
                }
            }
            last = Some(unit);
        } else {
            let is_assignment = children(statement).first().is_some_and(|inner| {
                statement.kind() == "expression_statement"
                    && inner.kind() == "assignment_expression"
            });
            if assignment.is_some() || !is_assignment {
                last = None;
            }
            assignment = is_assignment.then_some(statement);
        }
    }
}

/// True if a branch of the `if` leaves the function.
fn can_leave(statement: Node<'_>) -> bool {
    descendants(statement)
        .iter()
        .any(|node| matches!(node.kind(), "return_statement" | "goto_statement"))
}

/// True if neither unit reads what the other one writes. Both may set the variable that they test.
fn independent(f: &Function<'_>, first: &Unit<'_>, second: &Unit<'_>) -> bool {
    let writes = |unit: &Unit<'_>| {
        let mut names = assigned(f, &unit.statements);
        names.retain(|name| !checks::is_result(name));
        names
    };
    let clash =
        |a: &Unit<'_>, b: &Unit<'_>| writes(a).iter().any(|name| mentions(f, &b.statements, name));
    // A result that the first unit leaves for the second to test.
    let carried = second.statements.len() == 1
        && first.statements.len() == 1
        && assigned(f, &first.statements).iter().any(|name| mentions(f, &second.statements, name))
        && !assigned(f, &second.statements).iter().any(|name| checks::is_result(name));
    let labels = first.statements.iter().chain(&second.statements).any(|statement| {
        descendants(*statement).iter().any(|node| node.kind() == "labeled_statement")
    });
    let directive = {
        let (a, b) = (first.statements[0], second.statements[second.statements.len() - 1]);
        let text = &f.file.text()[f.range(a).start..f.range(b).end];
        text.lines().any(|line| line.trim_start().starts_with('#'))
    };
    !clash(first, second)
        && !clash(second, first)
        && !carried
        && !labels
        && !directive
        && !protects(f, first, second)
}

/// True if the first unit leaves when a pointer is not one that the second follows.
fn protects(f: &Function<'_>, first: &Unit<'_>, second: &Unit<'_>) -> bool {
    let followed = |name: &str| {
        second.statements.iter().any(|statement| {
            let text = f.text(*statement);
            text.contains(&format!("{name}->")) || text.contains(&format!("({name}"))
        })
    };
    let condition = first.statements.last().and_then(|node| field(*node, "condition"));
    let Some(condition) = condition else { return false };
    descendants(condition).into_iter().any(|node| {
        let tested = match node.kind() {
            "unary_expression" if operator(node) == "!" => field(node, "argument"),
            "binary_expression" if f.text(node).ends_with("NULL") => field(node, "left"),
            "call_expression" if f.callee(node).is_some_and(|n| n.starts_with("IS_ERR")) => {
                arguments(node).into_iter().next()
            }
            _ => None,
        };
        tested.is_some_and(|node| node.kind() != "call_expression" && followed(f.text(node)))
    })
}

/// True if nobody can tell which unit ran first: no calls, and one way out.
fn same(f: &Function<'_>, first: &Unit<'_>, second: &Unit<'_>) -> bool {
    let exits = |unit: &Unit<'_>| {
        let mut exits = Vec::new();
        for statement in &unit.statements {
            for node in descendants(*statement) {
                match node.kind() {
                    "return_statement" | "goto_statement" => exits.push(f.text(node)),
                    "call_expression" if !f.callee(node).is_some_and(skip::is_pure) => return None,
                    _ => {}
                }
            }
        }
        exits.sort_unstable();
        exits.dedup();
        Some(exits)
    };
    matches!((exits(first), exits(second)), (Some(a), Some(b)) if a == b)
}

/// Variables that the statements write, also by handing out their address to be filled.
fn assigned<'a>(f: &Function<'a>, statements: &[Node<'_>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for node in statements.iter().flat_map(|statement| descendants(*statement)) {
        match node.kind() {
            "assignment_expression" => names.extend(field(node, "left").map(|n| base(f, n))),
            "update_expression" => names.extend(field(node, "argument").map(|n| base(f, n))),
            "call_expression" if !f.callee(node).is_some_and(only_reads) => {
                names.extend(arguments(node).into_iter().filter_map(|argument| {
                    let address = argument.kind() == "pointer_expression"
                        && f.text(argument).starts_with('&');
                    address.then(|| field(argument, "argument").map(|n| base(f, n))).flatten()
                }));
            }
            _ => {}
        }
    }
    names
}

/// True for functions that look at what their pointers point to, and leave it as it is.
fn only_reads(name: &str) -> bool {
    ["security_", "perf_allow_", "perf_check_", "avc_", "selinux_", "audit_log"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The variable that an expression like `a->b[1].c` starts with.
fn base<'a>(f: &Function<'a>, node: Node<'_>) -> &'a str {
    scan::words(f.text(node)).next().map_or("", |(_, word)| word)
}

fn mentions(f: &Function<'_>, statements: &[Node<'_>], name: &str) -> bool {
    statements.iter().any(|node| scan::words(f.text(*node)).any(|(_, word)| word == name))
}
