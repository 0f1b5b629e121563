//! Reports on a recorded run in each format, and on runs that are truncated, repeated or hostile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod compare;
mod hidden;
#[path = "../support/hostile.rs"]
mod hostile;
mod html;
mod mail;
mod readers;
mod runs;
#[expect(dead_code, reason = "shared with tests that boot")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;

use perfsec::record::{self, Run};
use perfsec::report::{Format, FormatOptions, Schema};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus};
use rstest::rstest;
use runs::{
    begun, cut, flaky, hostile, junit_counts, ktap_counts, nothing, one_of_each, refused, repeated,
    small, whole,
};
use serde_json::Value;
use support::{Place, golden, place};

fn report(format: Format, run: &Run) -> String {
    format.render(run, &FormatOptions::default()).plain()
}

#[rstest]
#[case(Format::Ktap, "run.ktap")]
#[case(Format::Junit, "run.junit.xml")]
#[case(Format::Kcidb, "run.kcidb.json")]
#[case(Format::Github, "run.github.txt")]
#[case(Format::CodeQuality, "run.code-quality.json")]
fn a_report_is_as_a_person_has_read_it(#[case] format: Format, #[case] name: &str) {
    golden(name, &report(format, &one_of_each()));
}

#[rstest]
#[case(Format::Summary, "flaky.txt")]
#[case(Format::Text, "flaky.mail.txt")]
#[case(Format::Ktap, "flaky.ktap")]
#[case(Format::Junit, "flaky.junit.xml")]
#[case(Format::Kcidb, "flaky.kcidb.json")]
fn a_report_on_a_flaky_cell_is_as_a_person_has_read_it(#[case] format: Format, #[case] name: &str) {
    golden(name, &report(format, &flaky()));
}

#[test]
fn the_document_is_as_a_person_has_read_it() {
    let run =
        small(&|lane, name| lane == 0 && name == "known/differs/all_t/paranoid=2/none/enforcing");
    golden("run.json", &report(Format::Json, &run));
}

/// Counts the results of a KTAP report with a reader that only knows the specification.
fn read_ktap(text: &str) -> [usize; 4] {
    let mut counts = [0; 4];
    // For each open level the number of planned results and of results so far.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    for line in text.lines() {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let line = line.trim_start();
        if let Some(plan) = line.strip_prefix("1..") {
            assert_eq!(open.len(), depth, "{line}");
            open.push((plan.parse().unwrap(), 0));
        } else if line == "KTAP version 1" {
            assert_eq!(open.len(), depth);
        } else if let Some((result, rest)) = line
            .strip_prefix("not ok ")
            .map(|rest| (false, rest))
            .or(line.strip_prefix("ok ").map(|rest| (true, rest)))
        {
            // The level below has ended.
            let nested = open.len() > depth + 1;
            if nested {
                let (planned, seen) = open.pop().unwrap();
                counts[3] += planned - seen;
                parents.push(planned);
            }
            let (number, name) = rest.split_once(' ').unwrap();
            let (_, seen) = open.last_mut().unwrap();
            *seen += 1;
            assert_eq!(number, seen.to_string(), "{line}");
            let directive = name.split_once(" # ").map(|(_, directive)| directive);
            let skipped = directive.is_some_and(|directive| directive.starts_with("SKIP"));
            if !nested {
                counts[if skipped { 2 } else { usize::from(!result) }] += 1;
            }
        } else {
            assert!(line.starts_with('#'), "{line}");
        }
    }
    let (planned, seen) = open.pop().unwrap();
    assert!(open.is_empty());
    counts[3] += planned - seen;
    counts
}

#[rstest]
#[case(whole())]
#[case(cut())]
#[case(begun())]
#[case(nothing())]
#[case(repeated())]
#[case(refused())]
#[case(flaky())]
#[case(hostile())]
fn ktap_has_the_counts_of_the_run(#[case] run: Run) {
    assert_eq!(read_ktap(&report(Format::Ktap, &run)), ktap_counts(&run));
}

/// The tests of a JUnit report.
fn tests(report: &Report) -> impl Iterator<Item = &TestCase> {
    report.test_suites.iter().flat_map(|suite| &suite.test_cases)
}

#[rstest]
#[case(whole())]
#[case(cut())]
#[case(begun())]
#[case(nothing())]
#[case(repeated())]
#[case(refused())]
#[case(flaky())]
#[case(hostile())]
fn junit_has_the_counts_of_the_run(#[case] run: Run) {
    let text = report(Format::Junit, &run);
    let report = Report::deserialize_from_str(&text).unwrap();
    let of =
        |suite: &quick_junit::TestSuite| [suite.tests, suite.failures, suite.errors, suite.skipped];
    assert_eq!(report.test_suites.iter().map(of).collect::<Vec<_>>(), junit_counts(&run));
    let names: HashSet<_> = tests(&report).map(|test| (&test.classname, &test.name)).collect();
    assert_eq!(names.len(), report.tests, "GitLab drops a name that occurs twice");
}

#[test]
fn junit_has_the_reasons_and_the_times() {
    let run = whole();
    let report = Report::deserialize_from_str(&report(Format::Junit, &run)).unwrap();
    let find = |class: &str, name: &str| {
        let found = |test: &&TestCase| {
            test.classname.as_ref().unwrap().as_str() == class && test.name.starts_with(name)
        };
        tests(&report).find(found).unwrap()
    };

    let failed = find("open.wrong", "none_t/paranoid=2/none/permissive on Linux 6.1.192,");
    let TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, description, .. } =
        &failed.status
    else {
        panic!("{failed:?}");
    };
    let text = description.as_ref().unwrap().as_str();
    assert!(text.contains("\n+++ observed\n-perf_event_open("), "{text}");
    assert!(text.contains("# suite/open/wrong.toml:32"), "{text}");
    let micros = (run.cells())
        .find(|cell| cell.name == "open/wrong/none_t/paranoid=2/none/permissive")
        .and_then(|cell| Some(cell.observation.as_ref()?.micros));
    // In thousandths of a second, rounded.
    assert_eq!(failed.time.unwrap().as_millis(), u128::from(micros.unwrap() + 500) / 1000);

    let known = find("known.differs", "all_t/paranoid=2/none/enforcing");
    let TestCaseStatus::Skipped { message: Some(message), .. } = &known.status else {
        panic!("{known:?}");
    };
    assert!(message.starts_with("XFAIL: every kernel refuses"), "{message:?}");

    let gone = find("known.differs", "all_t/paranoid=2/perfmon/enforcing");
    assert!(matches!(gone.status, TestCaseStatus::Success { .. }));
    assert!(gone.system_out.as_ref().unwrap().starts_with("XPASS"));

    let died = report.test_suites[0].system_err.as_ref().unwrap();
    assert!(died.starts_with("died in host/panics/") && died.contains("</TASK>"));
}

#[test]
fn names_do_not_contain_the_lane_if_no_cell_occurs_twice() {
    let lanes_in_names = |run: &Run| {
        let report = Report::deserialize_from_str(&report(Format::Junit, run)).unwrap();
        tests(&report).filter(|test| test.name.contains(" on Linux ")).count()
    };
    let mut run = whole();
    assert_eq!(lanes_in_names(&run), 58);
    run.lanes[0].cells.retain(|cell| cell.case == "open/cpu");
    run.lanes[1].cells.retain(|cell| cell.case != "open/cpu");
    for lane in &mut run.lanes {
        lane.started.cells = lane.cells.len();
    }
    run.started.cells = run.cells().count();
    assert_eq!(lanes_in_names(&run), 0);
}

#[rstest]
fn no_report_for_programs_has_control_characters(
    #[values(Format::Ktap, Format::Junit, Format::Json, Format::Jsonl, Format::Kcidb)]
    format: Format,
) {
    let text = report(format, &hostile());
    assert!(text.contains("System halted"), "the hostile words are missing");
    let bad = text
        .chars()
        .find(|c| (c.is_control() && *c != '\n') || ('\u{fffe}'..='\u{ffff}').contains(c));
    // JSON allows all characters except control characters.
    let bad = bad.filter(|c| !(matches!(format, Format::Json | Format::Jsonl) && *c >= '\u{fffe}'));
    assert_eq!(bad, None);
}

#[test]
fn json_is_the_run_with_the_format_first() {
    let run = whole();
    let text = report(Format::Json, &run);
    let begins = format!("{{\n  \"format\": {},\n  \"started\": {{", record::FORMAT);
    assert!(text.starts_with(&begins), "{}", &text[..60]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["lanes"][1]["cells"].as_array().unwrap().len(), run.lanes[1].cells.len());
    assert_eq!(document["end"]["interrupted"], false);
}

fn validator(schema: Schema) -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema.value()).unwrap()
}

#[rstest]
#[case(whole())]
#[case(cut())]
#[case(nothing())]
#[case(refused())]
#[case(flaky())]
#[case(hostile())]
fn json_reports_are_valid_by_their_schemas(#[case] run: Run) {
    let document = serde_json::from_str(&report(Format::Json, &run)).unwrap();
    validator(Schema::Json).validate(&document).unwrap_or_else(|error| panic!("{error}"));
    let lines = validator(Schema::Jsonl);
    for line in report(Format::Jsonl, &run).lines() {
        lines
            .validate(&serde_json::from_str(line).unwrap())
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn each_line_of_the_record_is_valid_by_the_schema() {
    let lines = validator(Schema::Jsonl);
    let text = fs::read_to_string(place("run.jsonl")).unwrap();
    for line in text.lines() {
        lines
            .validate(&serde_json::from_str(line).unwrap())
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[rstest]
#[case::another_format("/format", Some("0"))]
#[case::another_verdict("/lanes/0/cells/1/judgement/verdict", Some("\"OK\""))]
#[case::an_invalid_grant("/lanes/0/cells/1/at/grant", Some("\"perf mon\""))]
#[case::an_invalid_version("/lanes/0/started/kernel/version", Some("\"six\""))]
#[case::a_number_that_is_text("/lanes/0/cells/1/line", Some("\"17\""))]
#[case::another_effect("/lanes/0/cells/1/observation/calls/0/effects/0", Some("{\"cup\": {}}"))]
#[case::a_missing_list("/lanes/0/deaths", None)]
#[case::a_missing_reason("/lanes/0/cells/1/judgement/reason", None)]
#[case::an_unknown_key("/lanes/0/cells/1/judgement/extra", Some("1"))]
#[case::an_unknown_key_at_the_top("/extra", Some("1"))]
#[case::an_unknown_key_of_an_origin("/lanes/0/started/kernel/origin/extra", Some("1"))]
fn a_damaged_document_is_not_valid(#[case] at: &str, #[case] value: Option<&str>) {
    let mut document: Value = serde_json::from_str(&report(Format::Json, &whole())).unwrap();
    assert!(validator(Schema::Json).is_valid(&document));
    let (parent, key) = at.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Some(value)) => {
            map.insert(key.to_owned(), serde_json::from_str(value).unwrap());
        }
        (Value::Object(map), None) => assert!(map.remove(key).is_some()),
        (parent, value) => {
            *parent.get_mut(key.parse::<usize>().unwrap()).unwrap() =
                serde_json::from_str(value.unwrap()).unwrap();
        }
    }
    assert!(!validator(Schema::Json).is_valid(&document));
}

#[rstest]
#[case::an_unknown_event("event", "\"lunch\"")]
#[case::an_unknown_key("extra", "1")]
#[case::another_type("lane", "\"first\"")]
fn a_damaged_line_is_not_valid(#[case] key: &str, #[case] value: &str) {
    let text = report(Format::Jsonl, &whole());
    let mut line: Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert!(validator(Schema::Jsonl).is_valid(&line));
    line[key] = serde_json::from_str(value).unwrap();
    assert!(!validator(Schema::Jsonl).is_valid(&line));
}

/// A change of this golden file requires a new [`record::FORMAT`].
#[test]
fn the_keys_of_a_document_change_only_with_its_format() {
    let schema = Schema::Json.value();
    let mut shape = format!("format {}\n", record::FORMAT);
    let definitions = schema["$defs"].as_object().unwrap();
    let root = ("Document".to_owned(), schema.clone());
    let mut all: Vec<_> = definitions.clone().into_iter().chain([root]).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, definition) in all {
        let mut words = Vec::new();
        keys(&definition, &mut words);
        let _ = writeln!(shape, "{name}: {}", words.join(" "));
    }
    golden("shape.golden", &shape);
}

/// The keys and constants of a definition, without those of the definitions that it refers to.
fn keys(schema: &Value, words: &mut Vec<String>) {
    let Some(map) = schema.as_object() else { return };
    for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let constant = property["const"].as_str().map_or(String::new(), |text| format!("={text}"));
        words.push(format!("{name}{constant}"));
        if property["properties"].is_object() {
            keys(property, words);
        }
    }
    words.extend(map.get("const").and_then(Value::as_str).map(str::to_owned));
    for list in ["oneOf", "enum"] {
        for part in map.get(list).and_then(Value::as_array).into_iter().flatten() {
            words.extend(part.as_str().map(str::to_owned));
            keys(part, words);
        }
    }
}

#[test]
fn kcidb_has_the_cells_with_a_result_and_no_others() {
    let submission =
        |run: &Run| -> Value { serde_json::from_str(&report(Format::Kcidb, run)).unwrap() };
    let lengths = |run: &Run| {
        let submission = submission(run);
        ["builds", "tests"].map(|key| submission[key].as_array().unwrap().len())
    };
    assert_eq!(lengths(&whole()), [2, 58]);
    assert_eq!(lengths(&cut()), [1, 9]);
    assert_eq!(lengths(&nothing()), [0, 0]);
}

#[test]
fn kcidb_names_a_known_difference_as_an_issue() {
    let run = whole();
    let submission: Value = serde_json::from_str(&report(Format::Kcidb, &run)).unwrap();
    let list = |key: &str| submission[key].as_array().unwrap();
    assert_eq!(list("issues").len(), 2);
    assert_eq!(list("incidents").len(), 4);
    for incident in list("incidents") {
        let test = list("tests").iter().find(|test| test["id"] == incident["test_id"]).unwrap();
        assert!(list("issues").iter().any(|issue| issue["id"] == incident["issue_id"]));
        let (verdict, status) = (&test["misc"]["verdict"], &test["status"]);
        match incident["present"].as_bool().unwrap() {
            true => assert_eq!((verdict, status), (&"XFAIL".into(), &"FAIL".into())),
            false => assert_eq!((verdict, status), (&"XPASS".into(), &"PASS".into())),
        }
    }
    // The same record gives the same ids, and each lane gives its own.
    let again: Value = serde_json::from_str(&report(Format::Kcidb, &whole())).unwrap();
    assert_eq!(submission, again);
    let ids: HashSet<_> = list("tests").iter().map(|test| test["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 58);
}

#[test]
fn an_origin_and_a_schema_can_be_chosen() {
    let (place_of_test, record) = (Place::new(), place("run.jsonl").display().to_string());
    let perfsec = |arguments: &[&str]| place_of_test.perfsec(arguments);
    let ended = perfsec(&["report", &record, "--format", "kcidb", "--origin", "my_lab"]);
    ended.succeeds();
    assert!(ended.stdout.contains("\"id\": \"my_lab:"), "{}", ended.stdout);
    perfsec(&["report", &record, "--format", "kcidb", "--origin", "My-Lab"])
        .fails(2, "an origin consists of");
    for schema in ["json", "jsonl"] {
        let ended = perfsec(&["report", "--schema", schema]);
        ended.succeeds();
        let schema: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(schema["$id"].as_str().unwrap().starts_with("urn:perfsec:json"), "{schema}");
    }
    perfsec(&["report", "--schema", "junit"]).fails(2, "possible values: json, jsonl");
    perfsec(&["report"]).fails(2, "<RUN>");
    perfsec(&["report", &record, "--schema", "json"]).fails(2, "cannot be used with");
    perfsec(&["report", "--schema", "json", "--out", "no/such/place"])
        .fails(5, "cannot write no/such/place");
}
