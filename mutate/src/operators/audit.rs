//! Fields of audit records: missing, or with another field's value.

use std::ops::Range;

use tree_sitter::Node;

use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, arguments, children, field};
use crate::scan;

/// True for functions that add fields to a record.
pub(crate) fn logs(name: &str) -> bool {
    name.starts_with("audit_log_")
        && !matches!(name, "audit_log_start" | "audit_log_end" | "audit_log_lost")
}

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    if node.kind() == "call_expression" {
        match f.callee(node) {
            Some("audit_log_format" | "audit_log") => formatted(f, node, out),
            Some("audit_log_start") => record_type(f, node, out),
            Some(name) if logs(name) => neighbour(f, name, node, out),
            _ => {}
        }
    } else if node.kind() == "expression_statement" {
        assigned(f, node, out);
    }
}

/// A conversion of a format string.
struct Conversion {
    /// In the format's text: the key, the conversion and what follows it up to white space.
    field: Range<usize>,
    /// `%lx`.
    specifier: String,
}

fn formatted(f: &Function<'_>, call: Node<'_>, out: &mut Drafts<'_>) {
    let args = arguments(call);
    let is_format = |arg: &Node<'_>| matches!(arg.kind(), "string_literal" | "concatenated_string");
    let Some(at) = args.iter().position(is_format) else { return };
    let (format, values) = (args[at], &args[at + 1..]);
    let text = f.text(format);
    let Some(conversions) = conversions(text).filter(|found| found.len() == values.len()) else {
        return;
    };
    for (n, conversion) in conversions.iter().enumerate() {
        let others = conversions.iter().zip(values).cycle().skip(n + 1).take(conversions.len() - 1);
        let same = others
            .filter(|(other, value)| {
                other.specifier == conversion.specifier && f.text(**value) != f.text(values[n])
            })
            .map(|(_, value)| *value)
            .next();
        if let Some(other) = same {
            out.value(Operator::OtherField, values[n], f.text(other));
        }
    }
    let Some(statement) = call.parent().filter(|parent| parent.kind() == "expression_statement")
    else {
        return;
    };
    if conversions.len() < 2 {
        return;
    }
    for (n, conversion) in conversions.iter().enumerate() {
        let mut rest = text.to_owned();
        rest.replace_range(conversion.field.clone(), "");
        let kept = args.iter().enumerate().filter(|(arg, _)| *arg != at + 1 + n);
        let list: Vec<_> = kept
            .map(|(arg, node)| if arg == at { rest.clone() } else { f.text(*node).to_owned() })
            .collect();
        let name = f.callee(call).unwrap_or_default();
        let text = format!("{name}({});", list.join(", "));
        out.statement(Operator::DropField, statement, &text);
    }
}

/// The conversions in the source text of a format; `None` if they cannot be matched to arguments.
fn conversions(text: &str) -> Option<Vec<Conversion>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // The earliest byte that can belong to the next field.
    let mut from = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b'"') || bytes[at].is_ascii_whitespace() {
            from = if bytes[at] == b'"' { at + 1 } else { at };
            at += 1;
            continue;
        }
        if bytes[at] == b'\\' {
            at += 2;
            continue;
        }
        if bytes[at] != b'%' {
            at += 1;
            continue;
        }
        if bytes.get(at + 1) == Some(&b'%') {
            at += 2;
            continue;
        }
        let start = at;
        at += 1;
        let skip = |mut at: usize, of: &[u8]| {
            while at < bytes.len() && of.contains(&bytes[at]) {
                at += 1;
            }
            at
        };
        at = skip(at, b"-+ #0123456789.");
        at = skip(at, b"hlLqjzt");
        let conversion = *bytes.get(at)?;
        if !conversion.is_ascii_alphabetic() {
            return None;
        }
        at += 1;
        if conversion == b'p' {
            while at < bytes.len() && bytes[at].is_ascii_alphanumeric() {
                at += 1;
            }
        }
        let specifier = text[start..at].to_owned();
        while at < bytes.len()
            && !matches!(bytes[at], b'"' | b'%')
            && !bytes[at].is_ascii_whitespace()
        {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        let end = at.min(bytes.len());
        found.push(Conversion { field: from..end, specifier });
        from = end;
    }
    Some(found)
}

/// A record of another type.
fn record_type(f: &Function<'_>, call: Node<'_>, out: &mut Drafts<'_>) {
    for argument in arguments(call) {
        if f.text(argument).starts_with("AUDIT_") {
            let other = match f.text(argument) {
                "AUDIT_AVC" => "AUDIT_SELINUX_ERR",
                _ => "AUDIT_KERNEL",
            };
            out.value(Operator::OtherField, argument, other);
        }
    }
}

/// `audit_log_cap(ab, "pi", …)` logs the value of the call after it.
fn neighbour(f: &Function<'_>, name: &str, call: Node<'_>, out: &mut Drafts<'_>) {
    let Some(statement) = call.parent().filter(|parent| parent.kind() == "expression_statement")
    else {
        return;
    };
    let same = |node: Node<'_>| -> Option<String> {
        let other = children(node).into_iter().next()?;
        let value = arguments(other).last().copied()?;
        let alike = node.kind() == "expression_statement"
            && f.callee(other) == Some(name)
            && arguments(other).len() == arguments(call).len();
        alike.then(|| f.text(value).to_owned())
    };
    let other = statement.next_named_sibling().and_then(same);
    let other = other.or_else(|| statement.prev_named_sibling().and_then(same));
    if let (Some(other), Some(value)) = (other, arguments(call).last().copied()) {
        out.value(Operator::OtherField, value, other);
    }
}

/// `sad.ssid = ssid; sad.tsid = tsid;`: a member gets the value of the next one.
fn assigned(f: &Function<'_>, statement: Node<'_>, out: &mut Drafts<'_>) {
    let Some((base, value)) = member(f, statement) else { return };
    let near = |node: Option<Node<'_>>| {
        let (other, value) = member(f, node?)?;
        (other == base).then(|| f.text(value).to_owned())
    };
    let other = near(statement.next_named_sibling());
    let other = other.or_else(|| near(statement.prev_named_sibling()));
    if let Some(other) = other.filter(|other| is_pointer(f, other) == is_pointer(f, f.text(value)))
    {
        out.value(Operator::OtherField, value, other);
    }
}

/// True for a variable that is declared as a pointer, and for a member that links a list.
fn is_pointer(f: &Function<'_>, value: &str) -> bool {
    let declared = [f.header(), f.body()].into_iter().any(|text| {
        let mut places = scan::words(text).filter(|(_, word)| *word == value);
        places.next().is_some_and(|(at, _)| text[..at].trim_end().ends_with('*'))
    });
    declared || value.ends_with("->aux")
}

/// The structure and the value of `a->b.c = value`, where the value is a variable or a member.
fn member<'t, 'a>(f: &Function<'a>, statement: Node<'t>) -> Option<(&'a str, Node<'t>)> {
    let assignment = children(statement).into_iter().next()?;
    if statement.kind() != "expression_statement" || assignment.kind() != "assignment_expression" {
        return None;
    }
    let (left, right) = (field(assignment, "left")?, field(assignment, "right")?);
    let base = field(left, "argument").filter(|_| left.kind() == "field_expression")?;
    // New credentials are no record.
    if f.pointers("cred").contains(&f.text(base)) {
        return None;
    }
    matches!(right.kind(), "identifier" | "field_expression").then(|| (f.text(base), right))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one(r#"" a=%d""#, &[" a=%d"])]
    #[case::several(r#""a=%lx b=%#ho""#, &["a=%lx", " b=%#ho"])]
    #[case::pieces("\" a=%d\"\n\t\" b=%s\"", &[" a=%d", " b=%s"])]
    #[case::quoted(r#"" a=\"%s\" b=%d ""#, &[r#" a=\"%s\""#, " b=%d"])]
    #[case::adjacent(r#""%s%d""#, &["%s", "%d"])]
    #[case::percent(r#""100%% a=%d""#, &[" a=%d"])]
    #[case::pointer(r#""a=%pI4 b=%llx""#, &["a=%pI4", " b=%llx"])]
    #[case::none(r#""key=""#, &[])]
    fn a_format_is_divided_into_fields(#[case] text: &str, #[case] fields: &[&str]) {
        let found: Vec<_> =
            conversions(text).unwrap().into_iter().map(|c| text[c.field].to_owned()).collect();
        assert_eq!(found, fields);
    }

    #[rstest]
    #[case::width(r#""%*d""#)]
    #[case::macro_(r#""%" PRIu64"#)]
    #[case::end("\"%")]
    fn a_format_that_takes_other_arguments_is_left_alone(#[case] text: &str) {
        assert!(conversions(text).is_none());
    }
}
