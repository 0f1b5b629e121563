//! Entries of the journal: JSON, export and verbose have a field for each of the entry's.
//!
//! journald takes audit records from the kernel: `MESSAGE` is the type and the record, `_AUDIT_ID`
//! the serial that the records of an event share (systemd.journal-fields(7)).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::super::assemble::Assembler;
use super::decoder::Decoder;
use super::form::Form;

/// Fields that only entries of the journal have.
const MARKS: [&str; 7] = [
    "__CURSOR",
    "__REALTIME_TIMESTAMP",
    "_TRANSPORT",
    "_AUDIT_ID",
    "_BOOT_ID",
    "_MACHINE_ID",
    "SYSLOG_IDENTIFIER",
];

/// The first line of an entry of `journalctl -o verbose`.
static VERBOSE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\S+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* \S+ \[s=").ok());

/// The bytes of a length before a value that is not plain text.
const LENGTH: usize = 8;

/// An entry with a field on each line.
pub(super) struct Entry {
    form: Form,
    fields: BTreeMap<String, String>,
    /// The field whose value, with its length before it, is on the next line.
    binary: Option<String>,
}

impl Entry {
    /// Begins an entry. Returns `None` if the line is not the first of one.
    pub(super) fn begin(line: &str) -> Option<Self> {
        let form = match () {
            () if line.starts_with("__CURSOR=") => Form::JournalExport,
            () if VERBOSE.as_ref()?.is_match(line) => Form::JournalVerbose,
            () => return None,
        };
        Some(Self { form, fields: BTreeMap::new(), binary: None })
    }

    /// Adds a line. Returns false if the entry has ended before it.
    pub(super) fn push(&mut self, line: &str) -> bool {
        if let Some(name) = self.binary.take() {
            let value = line.char_indices().nth(LENGTH).map_or("", |(at, _)| &line[at..]);
            self.fields.insert(name, value.to_owned());
            return true;
        }
        let line = match self.form {
            Form::JournalVerbose if line.starts_with("    ") => line.trim_start(),
            Form::JournalVerbose => return false,
            _ if line.is_empty() || line.starts_with("__CURSOR=") => return false,
            _ => line,
        };
        match line.split_once('=') {
            Some((name, value)) if is_name(name) => {
                self.fields.insert(name.to_owned(), value.to_owned());
            }
            None if is_name(line) => self.binary = Some(line.to_owned()),
            // A value of several lines.
            _ => {}
        }
        true
    }

    /// Reads the entry.
    pub(super) fn read(self, decoder: &mut Decoder, out: &mut Assembler) {
        let form = self.form;
        message(|name| self.fields.get(name).cloned(), form, decoder, out);
    }
}

/// Reads an entry in JSON. Returns false if the object has another form.
pub(super) fn object(
    object: &Map<String, Value>,
    decoder: &mut Decoder,
    out: &mut Assembler,
) -> bool {
    if !object.contains_key("MESSAGE") || !MARKS.iter().any(|mark| object.contains_key(*mark)) {
        return false;
    }
    message(|name| text(object.get(name)?), Form::JournalJson, decoder, out);
    true
}

/// A value: text, or bytes if they are not plain text. The first of several.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => {
            let bytes: Option<Vec<u8>> =
                all.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            match bytes {
                Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                None => text(all.first()?),
            }
        }
        _ => None,
    }
}

fn message(
    get: impl Fn(&str) -> Option<String>,
    form: Form,
    decoder: &mut Decoder,
    out: &mut Assembler,
) {
    let Some(message) = get("MESSAGE") else {
        out.separator();
        return;
    };
    let Some(id) = get("_AUDIT_ID") else {
        decoder.inside(form, &message, out);
        return;
    };
    let first = message.split(' ').next().unwrap_or_default();
    let kind = get("_AUDIT_TYPE_NAME").unwrap_or_else(|| first.to_owned());
    let record = message.strip_prefix(&*kind).unwrap_or(&message).trim_start();
    let boot = get("_BOOT_ID").unwrap_or_else(|| "boot".to_owned());
    out.record(decoder.named(form), &format!("type={kind} msg=audit({boot}:{id}): {record}"));
}

/// True for the name of a field.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
