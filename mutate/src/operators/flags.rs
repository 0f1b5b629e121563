//! Flags: another one of the family is tested, or one of them escapes a check.

use tree_sitter::Node;

use super::{calls, checks};
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, ancestors, block_of, descendants, field, operator};
use crate::scan;

/// Bits of `struct perf_event_attr` that a developer could confuse.
const BITS: &[&[&str]] = &[
    &["exclude_kernel", "exclude_user", "exclude_hv"],
    &["exclude_host", "exclude_guest"],
    &["exclude_callchain_kernel", "exclude_callchain_user"],
    &["inherit", "inherit_thread"],
    &["remove_on_exec", "enable_on_exec"],
    &["mmap", "mmap2"],
];

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    match node.kind() {
        "identifier" if tested(node) => {
            if let Some(other) = relative(f, f.text(node)) {
                out.value(Operator::OtherFlag, node, other);
            }
        }
        "field_expression" => bit(f, node, out),
        "call_expression" => exempt(f, node, out),
        "binary_expression" if operator(node) == "&" => mask(f, node, out),
        _ => {}
    }
}

fn bit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(name) = field(node, "field").map(|name| f.text(name)) else { return };
    if !field(node, "argument").is_some_and(|base| f.text(base).contains("attr")) {
        return;
    }
    for family in BITS {
        let Some(at) = family.iter().position(|bit| *bit == name) else { continue };
        let whole = f.text(node);
        let start = &whole[..whole.len() - name.len()];
        let assigned = node
            .parent()
            .is_some_and(|p| field(p, "left") == Some(node) && p.kind() == "assignment_expression");
        if !assigned {
            let other = family[(at + 1) % family.len()];
            out.truth(Operator::OtherFlag, node, format!("{start}{other}"));
        }
    }
}

/// True for `FLAG` in `x & FLAG`, `x & ~FLAG` and `x |= FLAG`.
fn tested(node: Node<'_>) -> bool {
    let inverted = |p: &Node<'_>| {
        p.kind() == "parenthesized_expression"
            || (p.kind() == "unary_expression" && operator(*p) == "~")
            || (p.kind() == "binary_expression" && operator(*p) == "|")
    };
    ancestors(node)
        .skip(1)
        .find(|parent| !inverted(parent))
        .is_some_and(|parent| matches!(operator(parent), "&" | "|=" | "&="))
}

/// Families whose names start with one word, or have another family's name in theirs.
const FAMILIES: &[&str] = &["VM_", "FMODE_", "PERF_SAMPLE_BRANCH_"];

/// The sample type that has the name of the branch flags.
const BRANCH_STACK: &str = "PERF_SAMPLE_BRANCH_STACK";

/// The prefix of a flag's family: its first two words, or one of [`FAMILIES`].
fn family(name: &str) -> Option<&str> {
    let upper = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !name.bytes().all(upper) {
        return None;
    }
    let known = FAMILIES.iter().find(|known| name.starts_with(**known) && name != BRANCH_STACK);
    let two = || name.match_indices('_').nth(1).map(|(at, _)| at + 1);
    let length = known.map(|known| known.len()).or_else(two)?;
    (length < name.len()).then(|| &name[..length])
}

/// True if the name suggests a mask of several flags.
fn is_mask(name: &str) -> bool {
    ["_ALL", "_MAX", "_MASK", "_PLM", "_VALID"].iter().any(|end| name.ends_with(end))
}

/// The next flag of the family that the file names, or the first.
fn relative<'a>(f: &Function<'a>, name: &str) -> Option<&'a str> {
    if is_mask(name) {
        return None;
    }
    let mut members = members(f.file.bare(), family(name)?);
    // `PERF_SAMPLE_REGS_USER` is a closer relative of `PERF_SAMPLE_REGS_INTR` than the others.
    let closer = name.rfind('_').map(|at| &name[..=at]).filter(|_| name != BRANCH_STACK);
    let close: Vec<_> =
        members.iter().copied().filter(|m| closer.is_some_and(|c| m.starts_with(c))).collect();
    if close.len() > 1 {
        members = close;
    }
    let at = members.iter().position(|member| *member == name)?;
    let other = members[(at + 1) % members.len()];
    (other != name).then_some(other)
}

/// The flags of a family in a text, without those that stand for several.
fn members<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut members = Vec::new();
    for (_, word) in scan::words(text) {
        if word.starts_with(prefix)
            && family(word) == Some(prefix)
            && !is_mask(word)
            && !members.contains(&word)
        {
            members.push(word);
        }
    }
    members
}

/// Exempts ioctls and flags from a check whose result is kept: `ret = security_…(event)`.
fn exempt(f: &Function<'_>, call: Node<'_>, out: &mut Drafts<'_>) {
    if !f.callee(call).is_some_and(calls::decides) {
        return;
    }
    let kept = call.parent().is_some_and(|parent| {
        parent.kind() == "assignment_expression"
            && field(parent, "right") == Some(call)
            && field(parent, "left").is_some_and(|left| checks::is_result(f.text(left)))
    });
    if !kept {
        return;
    }
    let text = f.text(call);
    if scan::words(f.header()).any(|(_, word)| word == "cmd") {
        for ioctl in ioctls(f.file.bare()) {
            out.value(Operator::ExemptOne, call, format!("cmd == {ioctl} ? 0 : {text}"));
        }
    }
    for (test, flag) in tests(f, call) {
        // The check that the flag itself asks for is dropped elsewhere.
        let own = ancestors(call).any(|outer| {
            field(outer, "condition").is_some_and(|condition| f.text(condition).contains(flag))
        });
        if !own {
            out.value(Operator::ExemptOne, call, format!("{test} ? 0 : {text}"));
        }
    }
}

/// The ioctls that a `switch` in the file tells apart.
fn ioctls(text: &str) -> Vec<&str> {
    let mut ioctls = Vec::new();
    let mut label = false;
    for (_, word) in scan::words(text) {
        if label && word.find("_IOC_").is_some_and(|at| at > 0) && !ioctls.contains(&word) {
            ioctls.push(word);
        }
        label = word == "case";
    }
    ioctls
}

/// The tests of single flags in the function, `attr.sample_type & PERF_SAMPLE_X`.
fn tests<'a>(f: &Function<'a>, inside: Node<'_>) -> Vec<(String, &'a str)> {
    let mut tests: Vec<(String, &str)> = Vec::new();
    let Some(body) = block_of(inside) else { return tests };
    for node in descendants(body) {
        let (Some(left), Some(right)) = (field(node, "left"), field(node, "right")) else {
            continue;
        };
        let flag = f.text(right);
        let single = node.kind() == "binary_expression"
            && operator(node) == "&"
            && right.kind() == "identifier"
            && family(flag).is_some()
            && !is_mask(flag)
            && matches!(left.kind(), "identifier" | "field_expression")
            && !node.has_error();
        let test = format!("({} & {flag})", f.text(left));
        if single && visible(f, left, inside) && !tests.iter().any(|(known, _)| *known == test) {
            tests.push((test, flag));
        }
    }
    tests
}

/// True if the variable at the start of `expression` has a value at `place`: a parameter, or a
/// structure that is declared in a block around it. A pointer may not be set yet.
fn visible(f: &Function<'_>, expression: Node<'_>, place: Node<'_>) -> bool {
    let Some((_, name)) = scan::words(f.text(expression)).next() else { return false };
    let parameter = scan::words(f.header()).any(|(_, word)| word == name);
    parameter
        || !f.text(expression).contains("->")
            && ancestors(place).any(|outer| {
                outer.kind() == "compound_statement"
                    && crate::function::children(outer).into_iter().any(|node| {
                        node.kind() == "declaration"
                            && scan::words(f.text(node)).any(|(_, word)| word == name)
                    })
            })
}

/// Takes one flag out of a mask: `x & MASK` no longer notices it.
fn mask(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(right) = field(node, "right") else { return };
    let named = |node: &Node<'_>| node.kind() == "identifier" && is_mask(f.text(*node));
    let Some(name) = descendants(right).into_iter().find(named) else { return };
    let Some(prefix) = family(f.text(name)) else { return };
    let text = f.text(right);
    // Bits outside the mask are refused: one of those inside is refused too.
    let inverted = right.kind() == "unary_expression" && operator(right) == "~";
    for flag in members(f.body(), prefix) {
        let other = if inverted { format!("{text} | {flag}") } else { format!("{text} & ~{flag}") };
        out.value(Operator::ExemptOne, right, other);
    }
}
