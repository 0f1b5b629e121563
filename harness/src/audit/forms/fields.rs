//! Writes the fields of a structured form as the kernel's record, which everything else reads.

use std::collections::BTreeMap;

use serde_json::Value;

/// Fields of a record by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(BTreeMap<String, String>);

/// The names under which forms have the permissions of an AVC record. laurel has the verdict as
/// the name; libauparse and those that follow it have `seperms`.
const PERMISSIONS: [&str; 8] =
    ["denied", "granted", "seperms", "seperm", "permissions", "perms", "perm", "permission"];

/// The fields of an AVC record before its contexts, in the kernel's order.
const BEFORE: [&str; 8] =
    ["pid", "comm", "path", "name", "dev", "ino", "lockdown_reason", "capability"];

impl Fields {
    /// Adds a field. Empty values are those of tables and mean nothing.
    pub(super) fn add(&mut self, key: &str, value: &Value) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
            Value::Array(values) => {
                let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                match values.first() {
                    _ if !texts.is_empty() => texts.join(" "),
                    Some(Value::Number(number)) => number.to_string(),
                    _ => return,
                }
            }
            Value::Null | Value::Object(_) => return,
        };
        if !matches!(text.as_str(), "" | "-" | "null" | "(null)") {
            self.0.entry(key.to_owned()).or_insert(text);
        }
    }

    /// A field's value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The AVC record. Returns `None` if the fields are not those of one.
    pub(super) fn avc(&self) -> Option<String> {
        let class = self.get("tclass")?;
        let (key, permissions) = PERMISSIONS.iter().find_map(|key| Some((*key, self.get(key)?)))?;
        // SELinux's verdict, by the names of libauparse and of tables.
        let verdict = ["seresult", "verdict", "decision", "action"];
        let granted = key == "granted"
            || verdict.iter().any(|key| self.get(key).is_some_and(|it| it.starts_with("grant")));
        let permissions: Vec<_> = permissions
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | '[' | ']' | '"'))
            .filter(|name| !name.is_empty())
            .collect();
        let mut text = format!(
            "avc:  {}  {{ {} }} for ",
            if granted { "granted" } else { "denied" },
            permissions.join(" ")
        );
        for key in BEFORE {
            if let Some(value) = self.get(key) {
                text.push_str(&format!(" {key}={}", written(key, value)));
            }
        }
        for key in ["scontext", "tcontext"] {
            text.push_str(&format!(" {key}={}", word(self.get(key).unwrap_or("?"))));
        }
        text.push_str(&format!(" tclass={}", word(class)));
        if let Some(permissive) = self.get("permissive").filter(|_| !granted) {
            let on = matches!(permissive.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "t");
            text.push_str(&format!(" permissive={}", u8::from(on)));
        }
        Some(text)
    }

    /// The SYSCALL record. Returns `None` if the fields are not those of one.
    pub(super) fn syscall(&self) -> Option<String> {
        let number = self.get("syscall")?;
        let mut text =
            format!("arch={} syscall={}", word(self.get("arch").unwrap_or("x86_64")), word(number));
        for key in ["success", "exit", "a0", "a1", "a2", "a3", "ppid", "pid"] {
            if let Some(value) = self.get(key) {
                text.push_str(&format!(" {key}={}", word(value)));
            }
        }
        if let Some(comm) = self.get("comm") {
            text.push_str(&format!(" comm={}", written("comm", comm)));
        }
        if let Some(name) = self.get("SYSCALL") {
            text.push_str(&format!("\u{1d}SYSCALL={}", word(name)));
        }
        Some(text)
    }

    /// The record of this type.
    pub(super) fn record(&self, kind: &str) -> String {
        let text = match kind {
            "AVC" | "1400" => self.avc(),
            "SYSCALL" | "1300" => self.syscall(),
            _ => None,
        };
        text.unwrap_or_else(|| {
            let fields = self.0.iter().map(|(key, value)| {
                let value: String = value.chars().filter(|c| !matches!(c, '"' | '\n')).collect();
                format!("{key}=\"{value}\"")
            });
            fields.collect::<Vec<_>>().join(" ")
        })
    }
}

/// A value as the kernel writes it: names that programs choose are in quotes or in hex.
fn written(key: &str, value: &str) -> String {
    match key {
        "comm" | "path" | "name" => crate::transcript::quoted(value.trim_matches('"')),
        "lockdown_reason" => format!("\"{}\"", value.replace('"', "")),
        _ => word(value),
    }
}

/// A value without blanks, which would end it.
fn word(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn fields(value: &Value) -> Fields {
        let mut fields = Fields::default();
        for (key, value) in value.as_object().unwrap() {
            fields.add(key, value);
        }
        fields
    }

    #[rstest]
    #[case(json!({"denied": ["open", "read"], "pid": 7, "comm": "perf", "scontext": "u:r:a_t",
        "tcontext": "u:r:a_t", "tclass": "perf_event", "permissive": 1}))]
    #[case(json!({"seresult": "denied", "seperms": "open,read", "pid": "7", "comm": "\"perf\"",
        "scontext": "u:r:a_t", "tcontext": "u:r:a_t", "tclass": "perf_event", "permissive": true}))]
    fn fields_become_the_kernels_record(#[case] value: Value) {
        assert_eq!(
            fields(&value).avc().as_deref(),
            Some(
                "avc:  denied  { open read } for  pid=7 comm=\"perf\" scontext=u:r:a_t \
                 tcontext=u:r:a_t tclass=perf_event permissive=1"
            )
        );
    }

    #[test]
    fn a_name_with_a_blank_cannot_forge_a_field() {
        let value = json!({"denied": "open", "comm": "x permissive=0", "tclass": "perf_event",
            "scontext": "a tclass=file", "permissive": "1"});
        let text = fields(&value).avc().unwrap();
        assert!(text.contains(" comm=78207065726D6973736976653D30 "), "{text}");
        assert!(text.ends_with(" tclass=perf_event permissive=1"), "{text}");
    }

    #[test]
    fn fields_of_another_record_are_none() {
        let value = json!({"cwd": "/", "permissive": "1"});
        assert_eq!((fields(&value).avc(), fields(&value).syscall()), (None, None));
    }
}
