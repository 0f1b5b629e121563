//! Run records, every report that is made from one, and its comparison with another.

#![no_main]

use std::fmt::Debug;
use std::sync::LazyLock;

use clap::ValueEnum;
use libfuzzer_sys::fuzz_target;
use perfsec::compare::{self, Comparison, sides};
use perfsec::fuzzing::hidden;
use perfsec::record::{self, Run};
use perfsec::report::{Format, FormatOptions};
use perfsec::text::Text;
use perfsec_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

/// A record of ours. Its first line is the head of every record, so that the fuzzer need not find
/// it.
const OURS: &str = include_str!("../../harness/tests/report/run.jsonl");

static OUR_RUN: LazyLock<Run> = LazyLock::new(|| read(OURS.as_bytes()).expect("it is ours"));

fuzz_target!(|data: &[u8]| {
    let head = OURS.split_inclusive('\n').next().unwrap_or_default();
    let with_head = || read(&[head.as_bytes(), data].concat());
    let Some(run) = read(data).or_else(with_head) else { return };
    let options = FormatOptions::default();
    for format in Format::value_variants() {
        check(&format.render(&run, &options), format);
    }
    for (a, b) in std::iter::zip(sides(&OUR_RUN, "A"), sides(&run, "B")) {
        if let Ok(comparison) = Comparison::of(&a, &b, &|_, _| true) {
            check(&compare::text(&comparison, true), "comparison");
        }
    }
    let written = Format::Jsonl.render(&run, &options).plain();
    let again = read(written.as_bytes()).expect("a record of ours is one");
    assert_eq!(Format::Jsonl.render(&again, &options).plain(), written);
});

fn read(text: &[u8]) -> Option<Run> {
    let path = SCRATCH.with(|scratch| scratch.file("record.jsonl", text));
    record::read(&path).ok().map(|loaded| loaded.run)
}

#[track_caller]
fn check(text: &Text, what: impl Debug) {
    assert_eq!(hidden(text), None, "in {what:?}");
}
