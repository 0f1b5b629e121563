//! No character of a record that a terminal obeys or hides reaches a reader, and no newline forges
//! a line: for every string of a record, in every format and command.

use std::collections::BTreeSet;

use clap::ValueEnum as _;
use perfsec::record::{Event, Run};
use perfsec::report::{Format, FormatOptions};
use rstest::rstest;
use serde_json::Value;

use super::hostile::{HOSTILE, has_no_forged_line, is_visible};
use super::runs::one_of_each;
use super::support::{Place, place};

/// Calls `visit` with every string of a document and its place, without numbers.
fn strings(value: &mut Value, place: &str, visit: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => visit(place, text),
        Value::Array(list) => {
            list.iter_mut().for_each(|value| strings(value, &format!("{place}[]"), visit));
        }
        Value::Object(map) => {
            for (key, value) in map {
                let key = if key.starts_with("CONFIG_") { "CONFIG_*" } else { key };
                strings(value, &format!("{place}.{key}"), visit);
            }
        }
        _ => {}
    }
}

/// The events of a record, with [`HOSTILE`] at the end of the strings in these places.
fn with_hostile(events: &[Value], is_chosen: &dyn Fn(&str) -> bool) -> Vec<Value> {
    let mut events = events.to_vec();
    for event in &mut events {
        let kind = event["event"].as_str().unwrap().to_owned();
        strings(event, &kind, &mut |place, text| {
            if is_chosen(place) {
                text.push_str(HOSTILE);
            }
        });
    }
    events
}

fn run(events: &[Value]) -> Run {
    let events =
        events.iter().cloned().map(|event| serde_json::from_value::<Event>(event).unwrap());
    Run::of(events).unwrap()
}

fn jsonl(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// The places of a record whose strings can be hostile, and those of enums and numbers.
struct Places {
    taken: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Places {
    fn of(events: &[Value]) -> Self {
        let mut places = Self { taken: BTreeSet::new(), refused: BTreeSet::new() };
        for event in events {
            let kind = event["event"].as_str().unwrap();
            let mut found = BTreeSet::new();
            strings(&mut event.clone(), kind, &mut |place, _| {
                found.insert(place.to_owned());
            });
            for place in found {
                if places.taken.contains(&place) || places.refused.contains(&place) {
                    continue;
                }
                let mut hostile = with_hostile(std::slice::from_ref(event), &|it| it == place);
                match serde_json::from_value::<Event>(hostile.remove(0)) {
                    Ok(_) => places.taken.insert(place),
                    Err(_) => places.refused.insert(place),
                };
            }
        }
        places
    }
}

/// A record with every verdict.
fn of_each() -> Vec<Value> {
    one_of_each().events().map(|event| serde_json::to_value(event).unwrap()).collect()
}

/// A record with differences between kernels.
fn different() -> Vec<Value> {
    let text = std::fs::read_to_string(place("different.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The strings of a JSON text, one document or several.
fn contents(json: &str) -> Vec<String> {
    let mut found = Vec::new();
    for document in serde_json::Deserializer::from_str(json).into_iter::<Value>() {
        strings(&mut document.unwrap(), "", &mut |_, text| found.push(text.clone()));
    }
    found
}

/// Checks a run in every format.
fn check(run: &Run, what: &str) {
    let events = run.events().map(|event| serde_json::to_string(&event).unwrap());
    let is_hostile = |text: &String| text.contains(HOSTILE);
    let added = events.flat_map(|event| contents(&event)).filter(is_hostile).count();
    for format in Format::value_variants() {
        let what = format!("{format:?} with {what}");
        let text = format.render(run, &FormatOptions::default());
        is_visible(text.ansi(), &what);
        match format {
            // A newline in mark-up is a blank.
            Format::Html | Format::Junit => {}
            Format::Json | Format::Jsonl => {
                let kept = contents(&text.plain()).into_iter().filter(is_hostile).count();
                assert_eq!(kept, added, "{what}");
            }
            Format::Kcidb => assert!(!contents(&text.plain()).is_empty()),
            // Empty if no cell is bad.
            Format::CodeQuality => {
                let issues: serde_json::Value = serde_json::from_str(&text.plain()).unwrap();
                assert!(issues.is_array(), "{what}");
            }
            Format::Summary | Format::Text | Format::Ktap | Format::Github => {
                has_no_forged_line(&text.plain(), &what);
            }
        }
    }
}

#[test]
fn every_string_of_a_record_is_visible_or_refused() {
    let room = Place::new();
    let mut seen = BTreeSet::new();
    for events in [of_each(), different()] {
        let places = Places::of(&events);
        for place in places.taken.iter().filter(|place| !seen.contains(*place)) {
            check(&run(&with_hostile(&events, &|it| it == place)), place);
        }
        check(&run(&with_hostile(&events, &|it| places.taken.contains(it))), "all");
        for place in places.refused.iter().filter(|place| !place.ends_with(".event")) {
            room.file("run.jsonl", &jsonl(&with_hostile(&events, &|it| it == place)));
            let ended = room.perfsec(&["report", "run.jsonl", "--color", "always"]);
            ended.fails(2, "run.jsonl");
            is_visible(&ended.stderr, place);
            has_no_forged_line(&ended.stderr, place);
        }
        seen.extend(places.taken);
    }
    assert!(seen.len() > 50, "{seen:?}");
}

#[rstest]
#[case::each(of_each(), &[])]
// The cells keep their names, so that there is something to compare.
#[case::different(different(), &["cell.name", "cell.case", "cell.at.domain", "lane.policy"])]
fn every_command_that_shows_a_record_escapes_its_strings(
    #[case] events: Vec<Value>,
    #[case] kept: &[&str],
) {
    let room = Place::new();
    let known = room.file("known.toml", "");
    let taken = Places::of(&events).taken;
    let hostile = with_hostile(&events, &|it| taken.contains(it) && !kept.contains(&it));
    room.file("plain.jsonl", &jsonl(&events));
    room.file("run.jsonl", &jsonl(&hostile));
    let commands: [&[&str]; 12] = [
        &["report", "run.jsonl"],
        &["report", "run.jsonl", "--format", "text"],
        &["report", "run.jsonl", "--format", "ktap"],
        &["report", "run.jsonl", "--format", "json"],
        &["report", "run.jsonl", "--format", "kcidb"],
        &["report", "run.jsonl", "--mail", "--from", "Ann <a@example.org>"],
        &["compare", "run.jsonl"],
        &["compare", "run.jsonl", "plain.jsonl", "--verbose"],
        &["compare", "plain.jsonl", "run.jsonl", "--format", "json"],
        &["merge", "run.jsonl"],
        &["known", "run.jsonl", "--known", &known],
        &["allow", "run.jsonl"],
    ];
    for command in commands {
        let ended = room.perfsec(&[command, &["--color", "always"]].concat());
        for text in [&ended.stdout, &ended.stderr] {
            is_visible(text, &format!("{command:?}"));
            has_no_forged_line(text, &format!("{command:?}"));
        }
        assert!(!ended.stdout.is_empty() || !ended.stderr.is_empty(), "{command:?}");
    }
}
