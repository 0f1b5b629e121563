//! The JSON Schema of a file of defaults, made from the options.

use clap::ArgAction;
use serde_json::{Map, Value, json};

use super::file::option;
use super::settable::SETTABLE;

/// The schema, in draft 7: Taplo ignores the keywords of later drafts.
#[must_use]
pub fn schema(root: &clap::Command) -> Value {
    let mut properties = Map::new();
    for settable in SETTABLE {
        let argument = root.get_subcommands().find_map(|command| option(command, settable.name));
        if let Some(argument) = argument {
            properties.insert(settable.name.to_owned(), of_option(argument));
        }
    }
    for command in root.get_subcommands() {
        let options = SETTABLE.iter().filter_map(|settable| {
            Some((settable.name.to_owned(), of_option(option(command, settable.name)?)))
        });
        let options: Map<_, _> = options.collect();
        if !options.is_empty() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let table = json!({
                "type": "object",
                "description": format!("For this command alone: {about}"),
                "properties": options,
                "additionalProperties": false,
            });
            properties.insert(command.get_name().to_owned(), table);
        }
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:perfsec:config",
        "title": "defaults of perfsec's options",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn of_option(argument: &clap::Arg) -> Value {
    let description = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let one = match values.is_empty() {
        true => json!({ "type": ["string", "integer"] }),
        false => json!({ "enum": values }),
    };
    let mut schema = match argument.get_action() {
        ArgAction::SetTrue => json!({ "type": "boolean" }),
        ArgAction::Append => json!({ "anyOf": [one, { "type": "array", "items": one }] }),
        _ => one,
    };
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), description.into());
    }
    schema
}
