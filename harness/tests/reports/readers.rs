//! The reports as read by other programs: the kernel's parser and Python packages.

use std::collections::HashSet;
use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};

use perfsec::record::{CellResult, LaneRun, Run};
use perfsec::report::{Format, Schema};
use rstest::rstest;
use serde_json::Value;

use crate::runs::{
    begun, cut, flaky, hostile, junit_counts, ktap_counts, nothing, refused, repeated, whole,
};
use crate::{place, report};

/// Runs a script beside the record on this input, with the Python that `PERFSEC_PYTHON` names.
fn python(script: &str, arguments: &[&str], input: &str) -> Value {
    let program = env::var("PERFSEC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut child = Command::new(program)
        .arg(place(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{script} fails");
    serde_json::from_slice(&output.stdout).unwrap()
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
#[ignore = "needs a kernel source's kunit parser in PERFSEC_KUNIT"]
fn the_kernels_parser_finds_the_counts_of_the_run(#[case] run: Run) {
    let kunit = env::var("PERFSEC_KUNIT")
        .expect("PERFSEC_KUNIT names tools/testing/kunit of a kernel tree");
    let seen = python("ktap.py", &[&kunit], &report(Format::Ktap, &run));
    let counts =
        ["passed", "failed", "skipped", "crashed"].map(|key| seen["counts"][key].as_u64().unwrap());
    assert_eq!(counts.map(|count| usize::try_from(count).unwrap()), ktap_counts(&run));
    // Each cell without a result is a separate error.
    assert_eq!(seen["counts"]["errors"], run.unseen());
    let names = seen["names"].as_array().unwrap();
    assert_eq!(names.len(), run.started.cells);
    let distinct: HashSet<_> = names.iter().map(Value::to_string).collect();
    assert!(distinct.len() >= names.len() - run.unseen());
}

#[test]
#[ignore = "needs a kernel source's kunit parser in PERFSEC_KUNIT"]
fn the_kernels_parser_reads_every_name_unchanged() {
    let run = whole();
    let kunit = env::var("PERFSEC_KUNIT")
        .expect("PERFSEC_KUNIT names tools/testing/kunit of a kernel tree");
    let seen = python("ktap.py", &[&kunit], &report(Format::Ktap, &run));
    let seen: HashSet<_> = seen["names"].as_array().unwrap().iter().map(Value::to_string).collect();
    let lane = |lane: &LaneRun| format!("Linux {}, policy minimal", lane.started.kernel.version);
    let name = |lane: &str, cell: &CellResult| {
        Value::from(vec![lane, &cell.case, &cell.at.to_string()]).to_string()
    };
    let wanted: HashSet<_> = run
        .lanes
        .iter()
        .flat_map(|of| of.cells.iter().map(move |cell| name(&lane(of), cell)))
        .collect();
    assert_eq!(seen, wanted);
}

#[rstest]
#[case(whole())]
#[case(cut())]
#[case(nothing())]
#[case(repeated())]
#[case(refused())]
#[case(flaky())]
#[case(hostile())]
#[ignore = "needs python3 with junitparser"]
fn junitparser_finds_the_counts_of_the_run(#[case] run: Run) {
    let seen = python("junit.py", &[], &report(Format::Junit, &run));
    for kind in ["said", "counted"] {
        let counts: Vec<_> = seen.as_array().unwrap().iter().map(|suite| &suite[kind]).collect();
        let wanted: Vec<Value> =
            junit_counts(&run).into_iter().map(|counts| counts.to_vec().into()).collect();
        assert_eq!(counts, wanted.iter().collect::<Vec<_>>(), "{kind}");
    }
}

#[rstest]
#[case(whole())]
#[case(cut())]
#[case(nothing())]
#[case(repeated())]
#[case(refused())]
#[case(flaky())]
#[case(hostile())]
#[ignore = "needs python3 with kcidb-io"]
fn kcidb_accepts_the_submission(#[case] run: Run) {
    let counts = python("kcidb.py", &[], &report(Format::Kcidb, &run));
    assert_eq!(counts["tests"], run.cells().count());
}

#[test]
#[ignore = "needs python3 with jsonschema"]
fn another_reader_of_schemas_agrees() {
    let run = whole();
    let one_line = |text: String| serde_json::from_str::<Value>(&text).unwrap().to_string();
    let document = one_line(report(Format::Json, &run));
    let input = format!("{}\n{document}\n", one_line(Schema::Json.text().plain()));
    assert_eq!(python("schema.py", &[], &input), 1);
    let input =
        format!("{}\n{}", one_line(Schema::Jsonl.text().plain()), report(Format::Jsonl, &run));
    assert_eq!(python("schema.py", &[], &input), run.events().count());
}
