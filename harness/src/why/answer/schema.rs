//! The JSON Schema of an answer.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::WhyAnswer;
use super::model::FORMAT;
use crate::prose::unlinked;
use crate::text::{self, Text};

/// The schema of an answer.
#[derive(Clone, Copy, Debug)]
pub struct WhySchema;

impl WhySchema {
    /// The schema, as text.
    #[must_use]
    pub fn text(self) -> Text {
        text::json(&self.value())
    }

    /// The schema, generated from the type.
    #[must_use]
    pub fn value(self) -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let mut schema = settings.into_generator().into_root_schema_for::<WhyAnswer>().to_value();
        unlink(&mut schema);
        if let Value::Object(schema) = &mut schema {
            schema.insert("$id".to_owned(), format!("urn:perfsec:why:{FORMAT}").into());
            let title = format!("an answer of `perfsec why`, format {FORMAT}");
            schema.insert("title".to_owned(), title.into());
        }
        schema
    }
}

fn unlink(schema: &mut Value) {
    match schema {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "description" => *text = unlinked(text),
            value => unlink(value),
        }),
        Value::Array(list) => list.iter_mut().for_each(unlink),
        _ => {}
    }
}
