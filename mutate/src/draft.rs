//! Collects the changes that operators propose.

use std::ops::Range;

use tree_sitter::Node;

use crate::Operator;
use crate::function::{Function, ancestors, condition, field, in_list, is_statement, statement};
use crate::mutant::{self, Edit, Form, Switch};
use crate::scan::collapse;
use crate::skip::{self, Build};

/// The length in bytes up to which statements are often equal: `return -EINVAL;`.
const SHORT: usize = 24;

/// A proposed change, before duplicates are removed and the rest is numbered.
pub(crate) struct Draft {
    pub(crate) operator: Operator,
    /// The place that gives the mutant its line.
    pub(crate) at: usize,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) edits: Vec<Edit>,
    pub(crate) switches: Vec<Switch>,
}

/// The changes proposed for one function.
pub(crate) struct Drafts<'f> {
    f: &'f Function<'f>,
    pub(crate) list: Vec<Draft>,
}

impl<'f> Drafts<'f> {
    pub(crate) fn new(f: &'f Function<'f>) -> Self {
        Self { f, list: Vec::new() }
    }

    /// Replaces an expression by one of the same type.
    pub(crate) fn value(&mut self, operator: Operator, node: Node<'_>, text: impl Into<String>) {
        let form = if is_place(node) { Form::Place } else { Form::Value };
        self.expression(operator, node, form, text.into());
    }

    /// Replaces an expression that names an object, which may be assigned to.
    pub(crate) fn place(&mut self, operator: Operator, node: Node<'_>, text: impl Into<String>) {
        self.expression(operator, node, Form::Place, text.into());
    }

    /// Replaces an expression that is only compared with zero.
    pub(crate) fn truth(&mut self, operator: Operator, node: Node<'_>, text: impl Into<String>) {
        self.expression(operator, node, Form::Truth, text.into());
    }

    fn expression(&mut self, operator: Operator, node: Node<'_>, form: Form, text: String) {
        let Some(build) = skip::build(self.f, node) else { return };
        let range = self.f.range(node);
        if text == self.f.text(node) {
            return;
        }
        let edit = Edit { start: range.start, end: range.end, text: embed(node, &text) };
        let (before, after) = self.show(node, &edit);
        self.list.push(Draft {
            operator,
            at: range.start,
            before,
            after,
            edits: vec![edit],
            switches: match build {
                Build::Switched => vec![Switch { range, form, alternative: text }],
                Build::Alone => Vec::new(),
            },
        });
    }

    /// Replaces a statement.
    pub(crate) fn statement(&mut self, operator: Operator, node: Node<'_>, text: &str) {
        let edit = self.edit_of_statement(node, text);
        let switch = Switch {
            range: self.f.range(node),
            form: Form::Statement,
            alternative: text.to_owned(),
        };
        self.whole_statement(operator, node, text, edit, switch);
    }

    /// Removes an `if`, and leaves its `else`. At run time the condition is false instead.
    pub(crate) fn never_taken(&mut self, operator: Operator, node: Node<'_>) {
        let Some(condition) = condition(node) else { return };
        let rest = field(node, "alternative").and_then(|rest| rest.named_child(0));
        let text = rest.map_or("", |rest| self.f.text(rest)).to_owned();
        let edit = self.edit_of_statement(node, &text);
        let switch = Switch {
            range: self.f.range(condition),
            form: Form::Truth,
            alternative: "0".to_owned(),
        };
        self.whole_statement(operator, node, &text, edit, switch);
    }

    fn whole_statement(
        &mut self,
        operator: Operator,
        node: Node<'_>,
        text: &str,
        edit: Edit,
        switch: Switch,
    ) {
        if skip::build(self.f, node) != Some(Build::Switched) {
            return;
        }
        self.list.push(Draft {
            operator,
            at: switch.range.start,
            before: collapse(&format!("{}{}", self.guard(node), self.f.text(node))),
            after: if text.is_empty() {
                String::new()
            } else {
                collapse(&format!("{}{text}", self.guard(node)))
            },
            edits: vec![edit],
            switches: vec![switch],
        });
    }

    /// Exchanges two neighbouring runs of statements.
    pub(crate) fn swap(&mut self, operator: Operator, first: &[Node<'_>], second: &[Node<'_>]) {
        let f = self.f;
        let nodes = || first.iter().chain(second);
        let ([a, ..], [b, ..]) = (first, second) else { return };
        if nodes().any(|node| skip::build(f, *node) != Some(Build::Switched)) {
            return;
        }
        let span = |run: &[Node<'_>]| -> Range<usize> {
            let start = f.range(run[0]).start;
            start..run.last().map_or(start, |last| f.range(*last).end)
        };
        let (one, two) = (span(first), span(second));
        let text = |range: &Range<usize>| f.file.text()[range.clone()].to_owned();
        let code = |range: &Range<usize>| f.file.code()[range.clone()].to_owned();
        let edits = vec![
            Edit { start: one.start, end: one.end, text: text(&two) },
            Edit { start: two.start, end: two.end, text: text(&one) },
        ];
        let mut switches =
            vec![Switch { range: f.range(*a), form: Form::Before, alternative: code(&two) }];
        switches.extend(second.iter().map(|node| Switch {
            range: f.range(*node),
            form: Form::Statement,
            alternative: String::new(),
        }));
        self.list.push(Draft {
            operator,
            at: f.range(*a).start.min(f.range(*b).start),
            before: collapse(&format!("{} {}", code(&one), code(&two))),
            after: collapse(&format!("{} {}", code(&two), code(&one))),
            edits,
            switches,
        });
    }

    /// The statement, or the condition, around a change: before and after it.
    fn show(&self, node: Node<'_>, edit: &Edit) -> (String, String) {
        let f = self.f;
        let Some(statement) = statement(node) else { return Default::default() };
        let whole = f.range(statement);
        let head = match statement.kind() {
            "if_statement" | "while_statement" | "switch_statement" => {
                field(statement, "condition").map(|condition| f.range(condition).end)
            }
            "for_statement" => field(statement, "body").map(|body| f.range(body).start),
            _ => None,
        };
        let range = whole.start..head.unwrap_or(whole.end);
        let before = &f.file.code()[range.clone()];
        let moved = Edit {
            start: edit.start - range.start,
            end: edit.end - range.start,
            text: edit.text.clone(),
        };
        let guard = self.guard(statement);
        let after = mutant::apply(before, &[moved]);
        (collapse(&format!("{guard}{before}")), collapse(&format!("{guard}{after}")))
    }

    /// The `if` that a short statement depends on, which tells it from others.
    fn guard(&self, statement: Node<'_>) -> String {
        let f = self.f;
        if f.range(statement).len() > SHORT {
            return String::new();
        }
        let parent = ancestors(statement)
            .skip(1)
            .find(|node| is_statement(*node) && node.kind() != "compound_statement");
        match parent.and_then(|parent| field(parent, "condition")) {
            Some(condition) if statement.kind() != "if_statement" => {
                let head = f.file.code()[f.range(parent.unwrap_or(condition)).start..]
                    .split('(')
                    .next()
                    .unwrap_or_default();
                format!("{head}{} ", f.text(condition))
            }
            _ => String::new(),
        }
    }

    /// Replaces a statement in the source. Nothing in its place removes its lines.
    fn edit_of_statement(&self, node: Node<'_>, text: &str) -> Edit {
        let range = self.f.range(node);
        if !text.is_empty() {
            return Edit { start: range.start, end: range.end, text: text.to_owned() };
        }
        if !in_list(node) {
            return Edit { start: range.start, end: range.end, text: ";".to_owned() };
        }
        let source = self.f.file.text();
        let line = source[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let end = source[range.end..].find('\n').map_or(source.len(), |at| range.end + at + 1);
        let alone =
            source[line..range.start].trim().is_empty() && source[range.end..end].trim().is_empty();
        let (start, end) = if alone { (line, end) } else { (range.start, range.end) };
        Edit { start, end, text: String::new() }
    }
}

/// True if the node is assigned to, or its address is taken.
pub(crate) fn is_place(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        "assignment_expression" => field(parent, "left") == Some(node),
        "pointer_expression" => field(parent, "operator").is_some_and(|o| o.kind() == "&"),
        "update_expression" => true,
        // `&a.b`: the address of a part.
        "field_expression" => {
            field(parent, "argument") == Some(node)
                && field(parent, "operator").is_some_and(|o| o.kind() == ".")
                && is_place(parent)
        }
        "parenthesized_expression" => is_place(parent),
        _ => false,
    }
}

/// `text` in parentheses if it would not stay one operand in the place of `node`.
fn embed(node: Node<'_>, text: &str) -> String {
    let operand = node.parent().is_some_and(|parent| {
        matches!(
            parent.kind(),
            "binary_expression"
                | "unary_expression"
                | "conditional_expression"
                | "cast_expression"
                | "field_expression"
                | "pointer_expression"
                | "subscript_expression"
        ) || (parent.kind() == "call_expression" && field(parent, "function") == Some(node))
    });
    // A comparison stays one.
    let binds = node.kind() == "binary_expression" && !text.contains(['&', '|']);
    let comma = has_outside(text, |byte| byte == b',');
    if (operand && !binds && has_outside(text, |byte| byte.is_ascii_whitespace()))
        || (comma && !text.starts_with('('))
    {
        format!("({text})")
    } else {
        text.to_owned()
    }
}

/// True if `text` has such a byte outside parentheses and brackets.
fn has_outside(text: &str, is: impl Fn(u8) -> bool) -> bool {
    let mut depth = 0i32;
    text.bytes().any(|byte| {
        depth += match byte {
            b'(' | b'[' | b'{' => 1,
            b')' | b']' | b'}' => -1,
            _ => 0,
        };
        depth == 0 && is(byte)
    })
}
