//! Finds where records begin and end in a line.

use std::sync::LazyLock;

use regex::Regex;

/// The beginning of a record, with its type and the beginning of its event.
static BEGINNING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:node=\S+ )?\btype=[A-Z0-9_]+(?:\[\d+\])? (?:msg=)?audit\(").ok()
});

/// Splits a line into records: pasted ones may follow each other on one line.
pub(super) fn pieces(line: &str) -> Vec<&str> {
    let mut begins: Vec<usize> = match BEGINNING.as_ref() {
        Some(beginning) => beginning.find_iter(line).map(|found| found.start()).collect(),
        None => Vec::new(),
    };
    // The text before the first record belongs to it: the time, the host.
    if begins.is_empty() {
        begins.push(0);
    }
    begins[0] = 0;
    let ends = begins[1..].iter().copied().chain([line.len()]);
    begins.iter().zip(ends).flat_map(|(begin, end)| avc_records(&line[*begin..end])).collect()
}

/// Splits a line at the ends of AVC records.
fn avc_records(line: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    while let Some(end) = end_of_record(rest) {
        if !rest[end..].contains("avc:") {
            break;
        }
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

/// The offset of the end of a line's first record, if the record is complete.
fn end_of_record(line: &str) -> Option<usize> {
    let start = line.find("avc:")?;
    let next = line[start + 1..].find("avc:").map_or(line.len(), |at| start + 1 + at);
    Some(start + end(&line[start..next])?)
}

/// An AVC record, from `avc:` on, without what follows it: fields of auditd's enriched format,
/// quotes and brackets of another format around it.
pub(super) fn whole_record(record: &str) -> &str {
    match end(record) {
        Some(end) => &record[..end],
        None => record.split('\u{1d}').next().unwrap_or(record).trim_end(),
    }
}

/// The offset behind the last field of a record, if it has `tclass=`. All fields that a program
/// can choose come before that.
fn end(record: &str) -> Option<usize> {
    let class = record.rfind(" tclass=")? + " tclass=".len();
    let mut end = class + length(&record[class..], inside);
    loop {
        let rest = record[end..].trim_start();
        let start = record.len() - rest.len();
        let field = if let Some(value) = rest.strip_prefix("permissive=") {
            "permissive=".len() + length(value, |c| c.is_ascii_digit()).min(1)
        } else if let Some(value) =
            rest.strip_prefix("srawcon=").or_else(|| rest.strip_prefix("trawcon="))
        {
            "srawcon=".len() + context(value)
        } else {
            return Some(end);
        };
        end = start + field;
    }
}

/// The length of the beginning of a text whose characters all pass.
fn length(text: &str, passes: impl Fn(char) -> bool) -> usize {
    text.find(|c| !passes(c)).unwrap_or(text.len())
}

/// The length of a context, in quotes or not.
fn context(value: &str) -> usize {
    match value.strip_prefix('"') {
        Some(quoted) => 1 + quoted.find('"').map_or(quoted.len(), |at| at + 1),
        None => length(value, inside),
    }
}

/// True for what can stand in a value without quotes, rather than around the record.
fn inside(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '`' | '\\' | '}' | ']')
}

/// The time and the serial in `audit(…)`, which the records of an event share.
pub(super) fn event(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("audit(")?;
    let (event, _) = rest.split_once(')')?;
    event.contains(':').then_some(event)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const AVC: &str = "avc:  denied  { open } for  pid=1 tclass=perf_event permissive=1";

    #[test]
    fn an_event_on_one_line_is_split_into_its_records() {
        let call = "type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=298 success=yes";
        let line = format!(
            "node=box {call} node=box type=AVC msg=audit(1.2:3): {AVC} type=EOE \
            msg=audit(1.2:3): "
        );
        let pieces = pieces(&line);
        let starts: Vec<_> = pieces.iter().map(|piece| piece.split(' ').nth(1)).collect();
        assert_eq!(
            starts,
            [Some("type=SYSCALL"), Some("type=AVC"), Some("msg=audit(1.2:3):")],
            "{pieces:?}"
        );
    }

    #[test]
    fn records_without_a_type_are_split_at_their_ends() {
        assert_eq!(pieces(&format!("{AVC} {AVC}")).len(), 2);
        assert_eq!(pieces(AVC), [AVC]);
        assert_eq!(pieces(""), [""]);
    }

    #[rstest]
    #[case(" srawcon=u:r:gone_t:s0", "")]
    #[case(" srawcon=\"u:r:gone_t:s0\" trawcon=\"u:r:gone_t:s0\"", "\"}")]
    #[case("", " and more")]
    fn a_record_ends_with_its_last_field(#[case] more: &str, #[case] behind: &str) {
        let record = format!("{AVC}{more}");
        assert_eq!(whole_record(&format!("{record}{behind}")), record);
    }
}
