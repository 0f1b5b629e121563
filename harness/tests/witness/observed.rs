//! The cells of a run record, with the records that the agent observed.

use serde_json::Value;

use super::Text;
use super::auditd;

/// A cell that was carried out.
#[derive(Default)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) boot: u64,
    /// The processes and threads that were observed.
    pub(super) pids: Vec<u64>,
    /// Type and text of each record, in the order of their serials.
    pub(super) records: Vec<(u64, Text)>,
    /// The output of its program.
    pub(super) output: String,
}

impl Cell {
    /// True for a cell that prints a part of auditd's log.
    pub(super) fn is_part_of_log(&self) -> bool {
        self.name.starts_with(auditd::AREA)
    }
}

/// Reads a run record.
pub(super) fn cells(record: &str) -> Vec<Cell> {
    let events = record.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let cells = events.filter(|event| event["event"] == "cell" && !event["observation"].is_null());
    cells.map(|event| cell(&event)).collect()
}

fn cell(event: &Value) -> Cell {
    let (observation, name) = (&event["observation"], event["name"].as_str().unwrap_or_default());
    let mut cell = Cell {
        name: name.to_owned(),
        boot: event["boot"].as_u64().expect("the number of a boot"),
        pids: observation["subject"]["pid"].as_u64().into_iter().collect(),
        records: Vec::new(),
        output: String::new(),
    };
    for heir in observation["heirs"].as_array().into_iter().flatten() {
        cell.pids.extend(heir.as_array().into_iter().flatten().filter_map(Value::as_u64));
    }
    let calls = observation["calls"].as_array().into_iter().flatten();
    for program in calls.map(|call| &call["program"]).filter(|program| !program.is_null()) {
        cell.pids.extend(program["pid"].as_u64());
        let others = program["others"].as_array().into_iter().flatten();
        cell.pids.extend(others.filter_map(Value::as_u64));
        cell.output += program["output"].as_str().unwrap_or_default();
    }
    records(observation, &mut cell.records);
    cell.records.retain(|(kind, _)| *kind != auditd::EOE);
    // Effects are listed below their calls, and a program's calls as they begin.
    cell.records.sort_by_key(|(_, text)| auditd::serial(text));
    cell
}

/// Every record in a value, in its order.
fn records(value: &Value, found: &mut Vec<(u64, Text)>) {
    match value {
        Value::Object(fields) => match (fields.get("kind"), fields.get("text")) {
            (Some(Value::Number(kind)), Some(Value::String(text))) => {
                found.push((kind.as_u64().expect("the type of a record"), text.clone()));
            }
            _ => fields.values().for_each(|value| records(value, found)),
        },
        Value::Array(values) => values.iter().for_each(|value| records(value, found)),
        _ => {}
    }
}
