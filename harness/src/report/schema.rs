//! JSON Schemas of the JSON formats, generated from their types.

use std::collections::BTreeSet;

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::json::Document;
use crate::prose::unlinked;
use crate::record::{Event, FORMAT};
use crate::text::{self, Text};

/// A format that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// The whole run as one document.
    Json,
    /// A line of the run record.
    Jsonl,
}

impl Schema {
    /// The schema, as text.
    #[must_use]
    pub fn text(self) -> Text {
        text::json(&self.value())
    }

    /// The schema. It lists every key: a document with any other is damaged or of another format.
    #[must_use]
    pub fn value(self) -> Value {
        let (mut schema, name, title) = match self {
            Self::Json => (root_schema::<Document<'_>>(), "json", "a run of perfsec"),
            Self::Jsonl => (root_schema::<Event>(), "jsonl", "a line of perfsec's run record"),
        };
        let mut extended = BTreeSet::new();
        collect_extended(&schema, &mut extended);
        close(&mut schema, None, &extended);
        if let Value::Object(schema) = &mut schema {
            schema.insert("$id".to_owned(), format!("urn:perfsec:{name}:{FORMAT}").into());
            schema.insert("title".to_owned(), format!("{title}, format {FORMAT}").into());
        }
        schema
    }
}

fn root_schema<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// Finds the definitions that are only a part of the object that refers to them: an event is its
/// tag and the keys of a struct.
fn collect_extended(schema: &Value, extended: &mut BTreeSet<String>) {
    if let (Some(reference), true) = (schema["$ref"].as_str(), schema["properties"].is_object()) {
        extended.extend(reference.rsplit('/').next().map(str::to_owned));
    }
    match schema {
        Value::Object(map) => map.values().for_each(|value| collect_extended(value, extended)),
        Value::Array(list) => list.iter().for_each(|value| collect_extended(value, extended)),
        _ => {}
    }
}

/// Forbids properties other than those that are named; `name` is the name of a definition.
fn close(schema: &mut Value, name: Option<&str>, extended: &BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), value) {
                    ("$defs", Value::Object(definitions)) => {
                        for (name, definition) in definitions {
                            close(definition, Some(name), extended);
                        }
                    }
                    // Names of properties are not keywords.
                    ("properties", Value::Object(properties)) => {
                        properties.values_mut().for_each(|value| close(value, None, extended));
                    }
                    ("description", Value::String(text)) => *text = unlinked(text),
                    (_, value) => close(value, None, extended),
                }
            }
            if map.get("properties").is_some_and(Value::is_object)
                && !name.is_some_and(|name| extended.contains(name))
            {
                shut(map);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| close(value, None, extended)),
        _ => {}
    }
}

fn shut(object: &mut Map<String, Value>) {
    // `additionalProperties` ignores the properties of a `$ref` beside it.
    let keyword =
        if object.contains_key("$ref") { "unevaluatedProperties" } else { "additionalProperties" };
    object.insert(keyword.to_owned(), false.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_a_schema_is_closed() {
        for schema in [Schema::Json, Schema::Jsonl] {
            let text = schema.text().plain();
            let objects = text.matches("\"properties\": {").count();
            let closed = text.matches("Properties\": false").count();
            let parts = if schema == Schema::Jsonl { 9 } else { 0 };
            assert!(objects > 40 && closed >= objects - parts, "{closed} of {objects}");
        }
    }
}
