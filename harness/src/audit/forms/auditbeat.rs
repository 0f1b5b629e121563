//! Documents of auditbeat and of other programs that use the Elastic Common Schema.
//!
//! The fields are those of libauparse, below `auditd.data`; the pid and the program's name are
//! below `process`, the result is `auditd.result`. Of several AVC records of an event, the document
//! has the fields of the first only, and with `include_raw_message` the text of all. Keys are
//! nested or joined by dots; search results have lists for values.

use serde_json::{Map, Value};

use super::fields::Fields;

/// A document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// The text of its records.
    Raw(Vec<String>),
    /// Its event and fields.
    Fields(String, Fields),
}

/// Fields that the document has elsewhere than below `auditd.data`.
const MOVED: [(&str, &str); 8] = [
    ("process.pid", "pid"),
    ("process.parent.pid", "ppid"),
    ("process.ppid", "ppid"),
    ("process.name", "comm"),
    ("auditd.data.comm", "comm"),
    ("auditd.result", "success"),
    ("event.outcome", "success"),
    ("file.path", "path"),
];

/// The fields below `auditd.data` that matter.
const DATA: [&str; 19] = [
    "seresult",
    "seperms",
    "seperm",
    "scontext",
    "tcontext",
    "tclass",
    "permissive",
    "capability",
    "lockdown_reason",
    "arch",
    "syscall",
    "exit",
    "a0",
    "a1",
    "a2",
    "a3",
    "apparmor",
    "operation",
    "capname",
];

/// The places of the records' text.
const RAW: [&str; 3] = ["auditd.messages", "event.original", "message"];

/// Reads an object. Returns `None` if it has another form.
pub(super) fn read(object: &Map<String, Value>) -> Option<Document> {
    let is_document = object.keys().any(|key| key == "auditd" || key.starts_with("auditd."));
    if !is_document {
        return None;
    }
    for place in RAW {
        let raw = texts(object, place);
        if raw.iter().any(|text| text.contains("audit(")) {
            return Some(Document::Raw(raw));
        }
    }
    let mut fields = Fields::default();
    for name in DATA {
        // Filebeat's module for auditd has them below `auditd.log`.
        for parent in ["auditd.data", "auditd.log"] {
            let found = get(object, &format!("{parent}.{name}"));
            found.into_iter().for_each(|value| fields.add(name, value));
        }
    }
    for (place, name) in MOVED {
        let Some(value) = get(object, place) else { continue };
        match (name, value.as_str()) {
            ("success", Some("success")) => fields.add(name, &"yes".into()),
            ("success", Some("fail" | "failure" | "failed")) => fields.add(name, &"no".into()),
            ("success", _) => {}
            _ => fields.add(name, value),
        }
    }
    let serial = get(object, "auditd.sequence").map_or("0".to_owned(), ToString::to_string);
    let time = get(object, "@timestamp").and_then(Value::as_str).unwrap_or("0");
    // Colons and brackets would end the event's id.
    let time: String = time.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(Document::Fields(format!("{time}:{}", serial.trim_matches('"')), fields))
}

/// The value at a path, nested or with dots in its keys. The first of a list.
fn get<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let found = match object.get(path) {
        Some(found) => Some(found),
        None => path.match_indices('.').find_map(|(at, _)| {
            let inner = object.get(&path[..at])?.as_object()?;
            get(inner, &path[at + 1..])
        }),
    };
    match found? {
        Value::Array(all) => all.first(),
        one => Some(one),
    }
}

fn texts(object: &Map<String, Value>, path: &str) -> Vec<String> {
    let found = object.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        object.get(first)?.as_object()?.get(rest)
    });
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    match found {
        Some(Value::String(text)) => lines(text),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).flat_map(lines).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_nested_or_joined_and_values_alone_or_in_a_list() {
        let nested = json!({"a": {"b.c": "1", "d": ["2"]}, "e.f": "3"});
        let object = nested.as_object().unwrap();
        let text = |path| get(object, path).and_then(Value::as_str);
        assert_eq!(
            [text("a.b.c"), text("a.d"), text("e.f"), text("a.x")],
            [Some("1"), Some("2"), Some("3"), None]
        );
    }
}
