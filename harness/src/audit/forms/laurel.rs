//! JSON of laurel: an object for each event, with a list or an object for each record type.
//!
//! Its `json-format.md`: the event's time and serial are `ID`; the permissions are a list named
//! after the verdict; arguments of a system call are `ARGV`; bytes other than printable ASCII are
//! `%XX`; hexadecimal numbers are strings with `0x`.

use serde_json::{Map, Value};

use super::fields::Fields;

/// The event in an object: its id, and its records with their types.
pub(super) struct LaurelEvent {
    pub(super) id: String,
    pub(super) records: Vec<(String, Fields)>,
}

/// Reads an object. Returns `None` if it has another form.
pub(super) fn read(object: &Map<String, Value>) -> Option<LaurelEvent> {
    let id = object.get("ID")?.as_str().filter(|id| id.contains(':'))?;
    let mut records = Vec::new();
    for (kind, value) in object {
        let is_type = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !kind.chars().all(is_type) {
            continue;
        }
        let bodies = match value {
            Value::Array(all) => all.iter().filter_map(Value::as_object).collect(),
            Value::Object(one) => vec![one],
            _ => Vec::new(),
        };
        for body in bodies {
            records.push((kind.clone(), fields(body)));
        }
    }
    // The kernel's order: AVC records, then the call.
    records.sort_by_key(|(kind, _)| kind != "AVC");
    Some(LaurelEvent { id: id.to_owned(), records })
}

fn fields(body: &Map<String, Value>) -> Fields {
    let mut fields = Fields::default();
    for (key, value) in body {
        match value {
            Value::String(text) => fields.add(key, &Value::String(decoded(text))),
            Value::Array(arguments) if key == "ARGV" => {
                for (at, argument) in arguments.iter().take(4).enumerate() {
                    fields.add(&format!("a{at}"), argument);
                }
            }
            other => fields.add(key, other),
        }
    }
    fields
}

/// Replaces `%XX` by the byte.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let pair = more.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("perf", "perf")]
    #[case("perf%20all", "perf all")]
    #[case("100%", "100%")]
    #[case("%zz%e2%82", "%zz\u{fffd}")]
    fn bytes_are_decoded(#[case] text: &str, #[case] plain: &str) {
        assert_eq!(decoded(text), plain);
    }
}
