//! Outcomes for tests.

use perfsec_mutate::Operator;

use super::journal::Entry;
use super::outcome::MutantOutcome;
use crate::kernel::KernelVersion;

/// The outcome of a mutant that drops the check of `function`, which has one mutant.
pub(super) fn entry(function: &str, outcome: MutantOutcome) -> Entry {
    Entry {
        format: Entry::FORMAT,
        tree: "f00d".to_owned(),
        kernel: "Linux 6.1.192 of a test".to_owned(),
        version: KernelVersion::new(6, 1, 192),
        suite: "suite".to_owned(),
        key: format!("key of {function}"),
        name: format!("{function}/drop-check/1"),
        file: "kernel/core.c".to_owned(),
        function: function.to_owned(),
        line: 7,
        operator: Operator::DropCheck,
        before: "if (err) return err;".to_owned(),
        after: String::new(),
        nth: 1,
        patch: outcome.is_survivor().then(|| PATCH.to_owned()),
        outcome,
        millis: 3000,
    }
}

const PATCH: &str = "--- a/kernel/core.c\n+++ b/kernel/core.c\n@@ -6,3 +6,1 @@\n \terr = f();\n\
                     -\tif (err)\n-\t\treturn err;\n";

pub(super) fn killed() -> MutantOutcome {
    let difference = vec!["-f() = EACCES".to_owned(), "+f() = 0".to_owned()];
    MutantOutcome::Killed { cell: "open/a".to_owned(), by_area: true, difference }
}

pub(super) fn survived() -> MutantOutcome {
    MutantOutcome::Survived { reached_by: Some(3), unjudged: Vec::new(), differs: true }
}

pub(super) fn died() -> MutantOutcome {
    MutantOutcome::Died { cause: "kernel panic".to_owned() }
}

pub(super) fn broken() -> MutantOutcome {
    MutantOutcome::DoesNotCompile { error: "'x' undeclared".to_owned() }
}
