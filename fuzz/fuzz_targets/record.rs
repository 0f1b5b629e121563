//! Run records, and every report that is made from one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::record;
use perfsec::report::{Format, FormatOptions};
use perfsec_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

/// The head of every record, so that the fuzzer need not find it.
const HEAD: &str = include_str!("../../harness/tests/report/run.jsonl");

fuzz_target!(|data: &[u8]| {
    let read = |text: &[u8]| {
        let path = SCRATCH.with(|scratch| scratch.file("record.jsonl", text));
        record::read(&path)
    };
    let first = HEAD.split_inclusive('\n').next().unwrap_or_default();
    let with_head = || read(&[first.as_bytes(), data].concat());
    let Ok(loaded) = read(data).or_else(|_| with_head()) else { return };
    let options = FormatOptions::default();
    for format in [Format::Summary, Format::Text, Format::Ktap, Format::Junit, Format::Json] {
        let _ = format.render(&loaded.run, &options);
    }
    let _ = Format::Html.render(&loaded.run, &options);
    let _ = Format::Kcidb.render(&loaded.run, &options);
    let written = Format::Jsonl.render(&loaded.run, &options);
    let again = read(written.as_bytes()).expect("a record of ours is one");
    assert_eq!(Format::Jsonl.render(&again.run, &options), written);
});
