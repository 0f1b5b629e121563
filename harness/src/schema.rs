//! JSON Schemas of the files that people write, generated from the types that read them, for
//! editors.

use clap::{CommandFactory as _, ValueEnum};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::asks::FunctionsFile;
use crate::case::CaseFile;
use crate::known::KnownFile;
use crate::machines::site::SiteFile;
use crate::prose::unlinked;
use crate::text::{self, Text};
use crate::why::WhySchema;

/// A kind of file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileSchema {
    /// A case.
    Case,
    /// The questions of kernel functions: `cases/functions.toml`.
    Functions,
    /// A file of known differences.
    Known,
    /// The answer of `perfsec why --format json`.
    Why,
    /// Defaults of options: `perfsec.toml`.
    Config,
    /// Real machines: `machines.toml`.
    Machines,
}

impl FileSchema {
    /// The schema, as text.
    #[must_use]
    pub fn text(self) -> Text {
        text::json(&self.value())
    }

    /// The schema. It allows what the types allow, and no other keys; rules between two keys are
    /// the reader's.
    #[must_use]
    pub fn value(self) -> Value {
        let (schema, name, title) = match self {
            Self::Case => (root_schema::<CaseFile>(), "case", "a case of perfsec"),
            Self::Functions => {
                (root_schema::<FunctionsFile>(), "functions", "questions of kernel functions")
            }
            Self::Known => (root_schema::<KnownFile>(), "known", "known differences of kernels"),
            Self::Machines => (root_schema::<SiteFile>(), "machines", "real machines, for perfsec"),
            Self::Why => return WhySchema.value(),
            Self::Config => return crate::config::schema(&crate::cli::Cli::command()),
        };
        let mut schema = schema.to_value();
        if let Value::Object(schema) = &mut schema {
            schema.insert("$id".to_owned(), format!("urn:perfsec:{name}").into());
            schema.insert("title".to_owned(), title.into());
        }
        schema
    }
}

/// In draft 7: Taplo, which checks TOML in most editors, ignores the keywords of later drafts.
fn root_schema<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| {
        // Before those of the draft, which wrap each `$ref` that has a description.
        settings.transforms.insert(0, Box::new(RecursiveTransform(for_toml)));
    });
    settings.into_generator().into_root_schema_for::<T>()
}

fn for_toml(schema: &mut Schema) {
    remove_null(schema);
    merge_alternatives(schema);
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unlinked(text);
    }
}

/// Removes `null`, which TOML does not have.
fn remove_null(schema: &mut Schema) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let null = json!({ "type": "null" });
    let forms = schema.get("anyOf").and_then(Value::as_array);
    if let Some(forms) = forms.filter(|forms| forms.contains(&null)).cloned() {
        schema.remove("anyOf");
        let rest = forms.into_iter().filter(|form| *form != null);
        for (keyword, value) in rest.filter_map(|form| form.as_object().cloned()).flatten() {
            schema.ensure_object().entry(keyword).or_insert(value);
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}

/// Turns alternative objects with one key each into one object that has exactly one of the keys.
/// Validators then report the wrong value; of alternatives, they only say that none fits.
fn merge_alternatives(schema: &mut Schema) {
    let Some(Value::Array(forms)) = schema.get_mut("oneOf") else { return };
    for form in forms.iter_mut() {
        let Some(text) = form.get("description").cloned() else { continue };
        let keys = form.get_mut("properties").and_then(Value::as_object_mut);
        keys.into_iter().flatten().for_each(|(_, key)| key["description"] = text.clone());
    }
    if !forms.iter().all(|form| form["properties"].is_object()) {
        return;
    }
    let forms = std::mem::take(forms);
    let choices: Vec<_> =
        forms.iter().map(|form| json!({ "required": form["required"] })).collect();
    let object = schema.ensure_object();
    let keys = object.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(keys) = keys {
        keys.extend(
            forms.iter().filter_map(|form| form["properties"].as_object().cloned()).flatten(),
        );
    }
    object.remove("unevaluatedProperties");
    object.insert("type".to_owned(), "object".into());
    object.insert("oneOf".to_owned(), choices.into());
    object.insert("additionalProperties".to_owned(), false.into());
}
