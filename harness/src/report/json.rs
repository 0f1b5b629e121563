//! The run as JSON: one document, or one event a line.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::{Event, FORMAT, Run};

/// The document: the record's format, then the run.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub(super) struct Document<'a> {
    /// Version of the record's format, and so of this document.
    #[schemars(extend("const" = FORMAT))]
    format: u32,
    #[serde(flatten)]
    run: &'a Run,
}

/// The document.
pub(super) fn document(run: &Run) -> String {
    pretty(&Document { format: FORMAT, run })
}

/// Any document, to be read by people too.
pub(super) fn pretty(document: &impl Serialize) -> String {
    harmless(serde_json::to_string_pretty(document).expect("string keys only")) + "\n"
}

/// An event as it stands in a record.
pub(super) fn line(event: &Event) -> String {
    harmless(serde_json::to_string(event).expect("events have string keys only")) + "\n"
}

/// JSON may have DEL and the C1 controls as they are, and a terminal may obey them. They stand in strings
/// only, where an escape means the same.
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
    fn what_a_terminal_could_obey_is_escaped_and_means_the_same() {
        let hostile = "\u{1b}[2J \u{9b}2J \u{7f} \n é";
        let json = pretty(&hostile);
        assert!(!json.trim_end().contains(|c: char| c.is_control()), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
