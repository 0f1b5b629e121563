//! The questions of a step, and the lists of functions.toml.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use perfsec::asks::{Functions, Names, parse};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for in_function in [false, true] {
        let names = Names {
            functions: vec!["perf_allow_cpu"],
            conditions: vec!["debian"],
            tasks: vec!["child"],
            in_function,
        };
        if let Err(mistake) = parse(text, 1, &names) {
            assert!((1..=text.lines().count()).contains(&mistake.line), "{mistake:?}");
        }
    }
    let _ = Functions::read(Path::new("functions.toml"), text);
});
