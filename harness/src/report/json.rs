//! A run as JSON: one document, or one event per line.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::{Event, FORMAT, Run};

/// A run, with the format of its record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub(super) struct Document<'a> {
    /// Format of the record, and so of this document.
    #[schemars(extend("const" = FORMAT))]
    format: u32,
    #[serde(flatten)]
    run: &'a Run,
}

/// Formats a run as one document.
pub(super) fn document(run: &Run) -> String {
    pretty(&Document { format: FORMAT, run })
}

/// Formats any document, with indentation.
pub(super) fn pretty(document: &impl Serialize) -> String {
    harmless(serde_json::to_string_pretty(document).expect("string keys only")) + "\n"
}

/// Formats an event as a line of a record.
pub(super) fn line(event: &Event) -> String {
    harmless(serde_json::to_string(event).expect("events have string keys only")) + "\n"
}

/// Escapes DEL and the C1 controls, which JSON allows unescaped and a terminal may obey. They occur
/// in strings only, where an escape means the same.
fn harmless(json: String) -> String {
    if !json.contains(|c: char| c.is_control() && c != '\n') {
        return json;
    }
    let escaped = |c: char| match c {
        c if c.is_control() && c != '\n' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_mean_the_same() {
        let hostile = "\u{1b}[2J \u{9b}2J \u{7f} \n é";
        let json = pretty(&hostile);
        assert!(!json.trim_end().contains(|c: char| c.is_control()), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
