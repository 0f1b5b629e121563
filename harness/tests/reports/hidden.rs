//! No character of a record that a terminal obeys or hides reaches a reader, and no newline forges
//! a line: for every string of a record, in every format and command.

use std::collections::BTreeSet;

use clap::ValueEnum as _;
use perfsec::record::{Event, Run};
use perfsec::report::{Format, FormatOptions};
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

/// The run, unless a value is of a type that takes no such text.
fn run(events: &[Value]) -> Option<Run> {
    let events: Result<Vec<Event>, _> =
        events.iter().cloned().map(serde_json::from_value).collect();
    Run::of(events.ok()?).ok()
}

fn jsonl(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// A record with every verdict, one with differences between kernels, and the places of their
/// strings.
fn records() -> [(Vec<Value>, BTreeSet<String>); 2] {
    let different = std::fs::read_to_string(place("different.jsonl")).unwrap();
    let different = different.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let each = one_of_each().events().map(|event| serde_json::to_value(event).unwrap()).collect();
    [each, different].map(|events: Vec<Value>| {
        let mut places = BTreeSet::new();
        for mut event in events.clone() {
            let kind = event["event"].as_str().unwrap().to_owned();
            strings(&mut event, &kind, &mut |place, _| {
                places.insert(place.to_owned());
            });
        }
        places.retain(|place| !place.ends_with(".event"));
        (events, places)
    })
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
            Format::Summary | Format::Text | Format::Ktap => {
                has_no_forged_line(&text.plain(), &what);
            }
        }
    }
}

#[test]
fn every_string_of_a_record_is_visible_or_refused() {
    let room = Place::new();
    for (events, places) in records() {
        let mut taken = BTreeSet::new();
        for place in &places {
            let hostile = with_hostile(&events, &|known| known == place);
            if let Some(run) = run(&hostile) {
                check(&run, place);
                taken.insert(place.as_str());
            } else {
                room.file("run.jsonl", &jsonl(&hostile));
                let ended = room.perfsec(&["report", "run.jsonl", "--color", "always"]);
                ended.fails(2, "run.jsonl");
                is_visible(&ended.stderr, place);
                has_no_forged_line(&ended.stderr, place);
            }
        }
        assert!(taken.len() > 30, "{taken:?}");
        let all = with_hostile(&events, &|place| taken.contains(place));
        check(&run(&all).unwrap(), "all");
    }
}

#[test]
fn every_command_that_shows_a_record_escapes_its_strings() {
    let room = Place::new();
    let known = room.file("known.toml", "");
    for (events, places) in records() {
        let fits = |place: &str| run(&with_hostile(&events, &|known| known == place)).is_some();
        let fits: BTreeSet<_> = places.into_iter().filter(|place| fits(place)).collect();
        let verbatim = jsonl(&events);
        // The same cells, so that there is something to compare.
        let names = ["cell.name", "cell.case", "cell.at.domain", "lane.policy"];
        let all = jsonl(&with_hostile(&events, &|place| fits.contains(place)));
        let unnamed =
            with_hostile(&events, &|place| fits.contains(place) && !names.contains(&place));
        room.file("plain.jsonl", &verbatim);
        room.file("all.jsonl", &all);
        room.file("unnamed.jsonl", &jsonl(&unnamed));
        let mail = ["--mail", "--from", "Ann <a@example.org>"];
        for hostile in ["all.jsonl", "unnamed.jsonl"] {
            let commands: [&[&str]; 12] = [
                &["report", hostile],
                &["report", hostile, "--format", "text"],
                &["report", hostile, "--format", "ktap"],
                &["report", hostile, "--format", "json"],
                &["report", hostile, "--format", "kcidb"],
                &["report", hostile, mail[0], mail[1], mail[2]],
                &["compare", hostile],
                &["compare", hostile, "plain.jsonl", "--verbose"],
                &["compare", "plain.jsonl", hostile, "--format", "json"],
                &["merge", hostile],
                &["known", hostile, "--known", &known],
                &["allow", hostile],
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
    }
}
