//! A run as one JSON document.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::{FORMAT, Run};
use crate::text::{Text, json};

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
pub(super) fn document(run: &Run) -> Text {
    json(&Document { format: FORMAT, run })
}
