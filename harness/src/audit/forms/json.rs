//! JSON: finds its objects in lines, and the records in its objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Deserializer, Map, Value};

use super::super::assemble::Assembler;
use super::auditbeat::{self, Document};
use super::decoder::Decoder;
use super::fields::Fields;
use super::form::Form;
use super::{container, go_audit, journal, laurel};

/// The longest object in bytes.
const LONGEST: usize = 1 << 20;

/// Objects in objects.
const DEEPEST: usize = 16;

/// Characters between objects, in arrays and in `json-seq`.
const AROUND: [char; 4] = ['\u{1e}', ',', '[', ']'];

/// Keys of objects whose text is a line of a log.
const TEXT: [&str; 11] = [
    "MESSAGE",
    "message",
    "msg",
    "log",
    "_raw",
    "raw",
    "line",
    "text",
    "short_message",
    "full_message",
    "textPayload",
];

/// Marks of strings that are read under any key.
const EVIDENCE: [&str; 6] = ["avc:", "audit(", "SELinux", "Lockdown:", "apparmor=", "perf_event"];

/// Objects that were begun: one can have several lines, and a line several.
#[derive(Default)]
pub(super) struct JsonText {
    text: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonText {
    /// True in an object.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Takes a line. Returns the objects that end in it, and text that is not JSON.
    pub(super) fn push(&mut self, line: &str) -> Vec<Result<Value, String>> {
        let mut pieces = Vec::new();
        let line = line.strip_prefix("data:").unwrap_or(line);
        for (at, letter) in line.char_indices() {
            if self.depth == 0 {
                if letter == '{' {
                    self.depth = 1;
                    self.text.push(letter);
                } else if !letter.is_whitespace() && !AROUND.contains(&letter) {
                    pieces.push(Err(line[at..].to_owned()));
                    return pieces;
                }
                continue;
            }
            self.text.push(letter);
            match letter {
                _ if self.escaped => self.escaped = false,
                '\\' if self.in_string => self.escaped = true,
                '"' => self.in_string = !self.in_string,
                '{' | '[' if !self.in_string => self.depth += 1,
                '}' | ']' if !self.in_string => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        let text = std::mem::take(&mut self.text);
                        pieces.push(serde_json::from_str(&text).map_err(|_| text));
                    }
                }
                _ => {}
            }
        }
        if self.depth > 0 {
            // A string cannot go on in the next line: the object was cut short.
            let broken = self.in_string || self.text.len() > LONGEST;
            if broken {
                pieces.extend(self.take().map(Err));
            } else {
                self.text.push('\n');
            }
        }
        pieces
    }

    /// The text of an object that has not ended.
    pub(super) fn take(&mut self) -> Option<String> {
        let Self { text, depth, .. } = std::mem::take(self);
        (depth > 0).then_some(text)
    }
}

/// True if a line is JSON from its beginning.
pub(super) fn begins(line: &str) -> bool {
    let line = line.strip_prefix("data:").unwrap_or(line);
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{1e}');
    let begins_object = |text: &str| {
        text.strip_prefix('{').is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.is_empty() || rest.starts_with(['"', '}'])
        })
    };
    let inner = line.strip_prefix(['[', ',']).map_or(line, str::trim_start);
    matches!(line, "[" | "]" | "],") || begins_object(inner)
}

/// The object in a line of another form, such as of syslog.
pub(super) fn within(line: &str) -> Option<Map<String, Value>> {
    let at = line.find("{\"")?;
    if line[..at].contains("avc:") {
        return None;
    }
    match Deserializer::from_str(&line[at..]).into_iter().next()?.ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// Reads the records in a value.
pub(super) fn read(value: &Value, decoder: &mut Decoder, out: &mut Assembler) {
    let mut walk = Walk { decoder, out, form: Form::Json, seen: BTreeSet::new(), read: false };
    walk.value(value, 0);
    if !walk.read {
        out.separator();
    }
}

/// Reads the records in a row of a table.
pub(super) fn row(row: &BTreeMap<String, String>, decoder: &mut Decoder, out: &mut Assembler) {
    let object: Map<String, Value> =
        row.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect();
    let mut walk = Walk { decoder, out, form: Form::Csv, seen: BTreeSet::new(), read: false };
    walk.object(&object, 0);
    if !walk.read {
        out.separator();
    }
}

/// A walk through a value.
struct Walk<'a> {
    decoder: &'a mut Decoder,
    out: &'a mut Assembler,
    /// The form of what no other form has.
    form: Form,
    /// The texts that were read: some programs have them twice.
    seen: BTreeSet<String>,
    /// True if something was handed on.
    read: bool,
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            _ if depth > DEEPEST => {}
            Value::Array(all) => all.iter().for_each(|value| self.value(value, depth + 1)),
            Value::Object(object) => self.object(object, depth),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, object: &Map<String, Value>, depth: usize) {
        if self.known(object) {
            self.read = true;
            return;
        }
        for (key, value) in object {
            match value {
                Value::String(text) if TEXT.contains(&key.as_str()) => self.line(text),
                value => self.value(value, depth + 1),
            }
        }
    }

    /// Reads an object of a known form.
    fn known(&mut self, object: &Map<String, Value>) -> bool {
        if let Some(text) = container::docker(object) {
            self.decoder.inside(Form::DockerLog, text, self.out);
            return true;
        }
        if journal::object(object, self.decoder, self.out) {
            return true;
        }
        if let Some(event) = laurel::read(object) {
            let form = self.decoder.named(Form::Laurel);
            for (kind, fields) in event.records {
                let record = fields.record(&kind);
                self.out.record(form, &format!("type={kind} msg=audit({}): {record}", event.id));
            }
            return true;
        }
        if go_audit::read(object, self.decoder.named(Form::GoAudit), self.out) {
            return true;
        }
        match auditbeat::read(object) {
            Some(Document::Raw(records)) => {
                let form = self.name(Form::Auditbeat);
                records.iter().for_each(|record| self.out.record(form, record));
                true
            }
            Some(Document::Fields(event, fields)) => {
                self.fields(self.name(Form::Auditbeat), &event, &fields);
                true
            }
            None => self.flat(object),
        }
    }

    /// The form to count for a form that tables have too.
    fn name(&self, form: Form) -> Form {
        if self.form == Form::Csv {
            self.decoder.named(Form::Csv)
        } else {
            self.decoder.named(form)
        }
    }

    /// Reads an object that has the fields of a record as its own.
    fn flat(&mut self, object: &Map<String, Value>) -> bool {
        let mut fields = Fields::default();
        for (key, value) in object {
            fields.add(key, value);
        }
        if fields.avc().is_none() {
            return false;
        }
        let serial = fields.get("serial").or(fields.get("sequence")).map(str::to_owned);
        let event =
            format!("0:{}", serial.unwrap_or_else(|| format!("line {}", self.out.log.lines)));
        self.fields(self.decoder.named(self.form), &event, &fields);
        true
    }

    fn fields(&mut self, form: Form, event: &str, fields: &Fields) {
        let is_avc = fields.avc().is_some() || fields.get("apparmor").is_some();
        if is_avc {
            let record = fields.record("AVC");
            self.out.record(form, &format!("type=AVC msg=audit({event}): {record}"));
        }
        if fields.syscall().is_some() {
            let record = fields.record("SYSCALL");
            self.out.record(form, &format!("type=SYSCALL msg=audit({event}): {record}"));
        } else if !is_avc {
            self.out.other(form);
        }
    }

    /// Reads a string under any key.
    fn text(&mut self, text: &str) {
        if EVIDENCE.iter().any(|mark| text.contains(mark)) {
            self.line(text);
        }
    }

    fn line(&mut self, text: &str) {
        if self.seen.insert(text.trim().to_owned()) {
            self.read = true;
            let form = self.form;
            self.decoder.inside(form, text, self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn push(lines: &[&str]) -> Vec<Result<Value, String>> {
        let mut text = JsonText::default();
        let mut pieces: Vec<_> = lines.iter().flat_map(|line| text.push(line)).collect();
        pieces.extend(text.take().map(Err));
        pieces
    }

    #[rstest]
    #[case::two_on_a_line(&[r#"{"a":1}{"b":"}"}"#], 2)]
    #[case::over_lines(&["{", r#""a": {"#, "}", "}"], 1)]
    #[case::array(&["[", r#"{"a":1},"#, r#"{"a":"\"{"}"#, "]"], 2)]
    #[case::array_on_a_line(&[r#"[{"a":1},{"b":2}]"#], 2)]
    #[case::sequence(&["\u{1e}{\"a\":1}"], 1)]
    fn objects_are_found(#[case] lines: &[&str], #[case] number: usize) {
        let pieces = push(lines);
        assert_eq!(pieces.iter().filter(|piece| piece.is_ok()).count(), number, "{pieces:?}");
        assert_eq!(pieces.len(), number, "{pieces:?}");
    }

    #[rstest]
    #[case::cut_in_a_string(&[r#"{"a":"avc:  den"#, "next"])]
    #[case::no_json(&["{ open }"])]
    #[case::never_closed(&["{", "text"])]
    fn text_that_is_not_json_comes_back(#[case] lines: &[&str]) {
        let pieces = push(lines);
        assert!(pieces.iter().all(Result::is_err) && !pieces.is_empty(), "{pieces:?}");
    }

    #[rstest]
    #[case(r#"{"a":1}"#, true)]
    #[case("  {", true)]
    #[case("[", true)]
    #[case(r#"[{"a":1}]"#, true)]
    #[case(r#"data: {"a":1}"#, true)]
    #[case("[  137.877713] audit: type=1400", false)]
    #[case("{ open } for  pid=1", false)]
    #[case("", false)]
    fn a_line_that_begins_json_is_told(#[case] line: &str, #[case] expected: bool) {
        assert_eq!(begins(line), expected);
    }
}
