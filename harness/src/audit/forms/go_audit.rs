//! JSON of go-audit: an object for each event, with its messages as the kernel sent them.

use serde_json::{Map, Value};

use super::super::assemble::Assembler;
use super::form::Form;

/// Reads an object. Returns false if it has another form.
pub(super) fn read(object: &Map<String, Value>, form: Form, out: &mut Assembler) -> bool {
    let (Some(Value::Array(messages)), Some(serial)) =
        (object.get("messages"), object.get("sequence"))
    else {
        return false;
    };
    let time = object.get("timestamp").and_then(Value::as_str).unwrap_or("0");
    for message in messages {
        let (Some(kind), Some(text)) =
            (message.get("type"), message.get("data").and_then(Value::as_str))
        else {
            continue;
        };
        out.record(form, &format!("type={kind} msg=audit({time}:{serial}): {text}"));
    }
    true
}
