//! Documentation of the steps, from the doc comments of `perfsec_wire::step` and
//! `perfsec_wire::attr`, so that it cannot be stale.

use perfsec_wire::Step;
use serde_json::Value;

use crate::prose::paragraph;
use crate::text::{Text, line};

/// The name under which the fields of `struct perf_event_attr` are found, which several steps have.
const ATTR: &str = "attr";

/// The types of all steps, as a JSON Schema.
pub struct Reference {
    schema: Value,
}

/// One form of a step: its name in a case file, its description, and its arguments if it has any.
struct Variant<'a> {
    name: &'a str,
    description: &'a str,
    arguments: Option<&'a Value>,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Reference {
    /// Makes the schema.
    #[must_use]
    pub fn new() -> Self {
        Self { schema: schemars::schema_for!(Step).to_value() }
    }

    /// The names of all sections: those of the steps, then `attr`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            variants(&self.schema).iter().map(|variant| variant.name.to_owned()).collect();
        names.push(ATTR.to_owned());
        names
    }

    /// The documentation of one step, or of `attr`; `None` for another name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Text> {
        let mut out = Text::new();
        if name == ATTR {
            let attr = self.definition("PerfEventAttr")?;
            line!(out, "{ATTR} = {{ … }}, `struct perf_event_attr`");
            paragraph(&mut out, 4, description(attr));
            self.fields(&mut out, 4, attr);
            return Some(out);
        }
        let all = variants(&self.schema);
        let step = all.iter().find(|variant| variant.name == name)?;
        line!(out, "{name}");
        paragraph(&mut out, 4, step.description);
        self.arguments(&mut out, 4, step.arguments?);
        Some(out)
    }

    fn definition(&self, name: &str) -> Option<&Value> {
        self.schema.get("$defs")?.get(name)
    }

    /// The type that a `$ref` names, or the type itself.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name =
            schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.definition(name)).unwrap_or(schema)
    }

    /// Writes a table of fields, or every form of an enum.
    fn arguments(&self, out: &mut Text, indent: usize, schema: &Value) {
        let schema = self.resolve(schema);
        if schema.get("properties").is_some() && variants(schema).is_empty() {
            self.fields(out, indent, schema);
            return;
        }
        for variant in variants(schema) {
            let pad = " ".repeat(indent);
            match variant.arguments {
                None => {
                    line!(out, "{pad}\"{}\"", variant.name);
                }
                Some(arguments) => {
                    let kind = self.kind(arguments);
                    line!(out, "{pad}{} = {kind}", variant.name);
                }
            }
            paragraph(out, indent + 4, variant.description);
            let words =
                variant.arguments.map(|arguments| self.words(arguments)).unwrap_or_default();
            if !words.is_empty() {
                paragraph(out, indent + 4, &format!("{}.", words.join(", ")));
            }
            if let Some(arguments) = variant.arguments
                && self.resolve(arguments).get("properties").is_some()
            {
                self.fields(out, indent + 4, self.resolve(arguments));
            }
        }
    }

    fn fields(&self, out: &mut Text, indent: usize, schema: &Value) {
        let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return };
        let required = schema.get("required").and_then(Value::as_array);
        for (name, field) in fields {
            let needed = required.is_some_and(|names| names.iter().any(|known| known == name));
            let default = match field.get("default") {
                Some(Value::String(text)) => format!(", default \"{text}\""),
                Some(Value::Number(number)) if number.as_i64() != Some(0) => {
                    format!(", default {number}")
                }
                Some(Value::Bool(true)) => ", default true".to_owned(),
                _ if needed => ", required".to_owned(),
                _ => String::new(),
            };
            line!(out, "{}{name}: {}{default}", " ".repeat(indent), self.kind(field));
            paragraph(out, indent + 4, description(field));
            let words = self.words(field);
            if !words.is_empty() {
                paragraph(out, indent + 4, &format!("{}.", words.join(", ")));
            }
        }
    }

    /// The type of a value, in a few words.
    fn kind(&self, schema: &Value) -> String {
        let inner = self.inner(schema);
        let resolved = self.resolve(inner);
        if inner
            .get("$ref")
            .and_then(Value::as_str)
            .is_some_and(|path| path.ends_with("PerfEventAttr"))
        {
            return "{ … }, see `attr`".to_owned();
        }
        match resolved.get("type") {
            Some(Value::String(kind)) => match kind.as_str() {
                "array" => "list".to_owned(),
                "integer" => "number".to_owned(),
                "boolean" => "true or false".to_owned(),
                "object" => "{ … }".to_owned(),
                "string" => "text".to_owned(),
                other => other.to_owned(),
            },
            // An optional value, or a task, which is a number or a name.
            Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "null") => {
                if kinds.iter().any(|kind| kind == "string") { "text" } else { "number" }.to_owned()
            }
            Some(Value::Array(kinds)) if kinds.iter().any(|kind| kind == "boolean") => {
                "true, false or text".to_owned()
            }
            Some(Value::Array(_)) => "number or text".to_owned(),
            _ if variants(resolved).iter().all(|variant| variant.arguments.is_none()) => {
                "text".to_owned()
            }
            _ => "{ … }".to_owned(),
        }
    }

    /// The words that a value, or each value of a list, can be; for a named string type, its
    /// description.
    fn words(&self, schema: &Value) -> Vec<String> {
        let inner = self.inner(schema);
        let inner = inner.get("items").unwrap_or(inner);
        let resolved = self.resolve(inner);
        let named = resolved.get("enum").and_then(Value::as_array).into_iter().flatten();
        // Of a value that need not be a word, the description says what it can be.
        let named: Option<Vec<_>> = named.map(|word| word.as_str().map(str::to_owned)).collect();
        let named = named.unwrap_or_default();
        if !named.is_empty() {
            return named;
        }
        let names = variants(resolved).into_iter().filter(|variant| variant.arguments.is_none());
        let names: Vec<_> = names.map(|variant| variant.name.to_owned()).collect();
        match (names.is_empty(), resolved.get("type"), inner.get("$ref")) {
            (true, Some(Value::String(kind)), Some(_)) if kind == "string" => {
                vec![description(resolved).to_owned()]
            }
            _ => names,
        }
    }

    /// The type of an optional value, without the `null`.
    fn inner<'a>(&self, schema: &'a Value) -> &'a Value {
        let choices = schema.get("anyOf").and_then(Value::as_array);
        let is_null = |choice: &Value| choice.get("type").is_some_and(|kind| kind == "null");
        choices.and_then(|all| all.iter().find(|choice| !is_null(choice))).unwrap_or(schema)
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// The forms of an enum: constants, lists of constants, and tables with one key.
fn variants(schema: &Value) -> Vec<Variant<'_>> {
    let mut found = Vec::new();
    for form in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let description = description(form);
        if let Some(name) = form.get("const").and_then(Value::as_str) {
            found.push(Variant { name, description, arguments: None });
        }
        for name in form.get("enum").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            found.push(Variant { name, description, arguments: None });
        }
        for (name, arguments) in
            form.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            found.push(Variant { name, description, arguments: Some(arguments) });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::prose::MAIL_WIDTH;

    #[test]
    fn every_step_is_described_and_so_are_its_fields() {
        let reference = Reference::new();
        let names = reference.names();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            let text = reference.section(&name).unwrap_or_default().plain();
            assert!(text.lines().count() > 2, "{name}: {text}");
            for line in text.lines().filter(|line| !line.contains(": text")) {
                assert!(line.chars().count() <= MAIL_WIDTH + 24, "{name}: {line}");
            }
        }
    }

    #[rstest]
    #[case("perf_event_open", "cpu: number, default -1")]
    #[case("perf_event_open", "PID_CGROUP")]
    #[case("ioctl", "MODIFY_ATTRIBUTES")]
    #[case("prctl", "\"SET_NO_NEW_PRIVS\"")]
    #[case("prctl", "CAPBSET_DROP = text")]
    #[case("bpf", "RAW_TRACEPOINT_WRITABLE")]
    #[case("agent", "load_policy = text")]
    #[case("execve", "rootid")]
    #[case("attr", "exclude_callchain_kernel: true or false")]
    #[case("attr", "PHYS_ADDR")]
    #[case("attr", "software/NAME (cpu-clock")]
    fn everything_that_a_case_can_contain_is_listed(#[case] step: &str, #[case] part: &str) {
        let text = Reference::new().section(step).unwrap().plain();
        assert!(text.contains(part), "{text}");
    }
}
