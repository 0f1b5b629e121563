//! Audit logs, as `perfsec explain` and `perfsec allow` read them.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perfsec::allow::{Language, Module, Rules};
use perfsec::audit::Log;
use perfsec::explain::{self, Knowledge};
use perfsec::fuzzing::hidden;

static KNOWLEDGE: LazyLock<Knowledge> =
    LazyLock::new(|| Knowledge::built_in().expect("it is ours"));

fuzz_target!(|data: &[u8]| {
    let log = Log::read(data).expect("memory can be read");
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(log.lines <= lines);
    let explained = explain::log(&log, &KNOWLEDGE);
    assert_eq!(hidden(&explained.text), None);
    let denials: Vec<_> = log.groups.iter().map(|group| group.denial.clone()).collect();
    let rules = Rules::from_denials(&denials);
    let module = Module { name: "fuzz", rules: &rules, from: "a log" };
    for language in [Language::Cil, Language::Te] {
        // Modules of policies are indented with tabs.
        let hidden = hidden(&module.text(language)).filter(|c| *c != '\t');
        assert_eq!(hidden, None, "{language:?}");
    }
});
