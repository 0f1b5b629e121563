//! Steps that run programs, on a real kernel.
//!
//! Needs QEMU, secilc and gcc with a static C library, and a stock kernel in `PERFSEC_TEST_KERNEL`.

#[expect(dead_code, reason = "shared with tests that need no kernel")]
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use support::{Ended, Place, kernel};

fn files() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

/// Runs the cases with this name, and the program beside them. One more cell asks about the policy.
fn run(name: &str) -> Ended {
    let place = Place::new();
    let program = place.path().join("opener");
    let mut compiler = Command::new("gcc");
    compiler.args(["-static", "-pthread", "-o"]).arg(&program).arg(files().join("opener.c"));
    assert!(compiler.status().expect("gcc runs").success(), "opener.c compiles");
    let (kernel, cases) = (kernel(), files().join("cases").display().to_string());
    let program = program.display().to_string();
    let run = ["run", "--kernel", &kernel, "--accel", "tcg", "--cases", &cases];
    place.perfsec(&[&run[..], &["--program", &program, "--jobs", "1", name]].concat())
}

#[test]
#[ignore = "needs QEMU, gcc and PERFSEC_TEST_KERNEL"]
fn a_program_is_observed_with_its_child_and_its_thread() {
    let ended = run("open");
    assert!(ended.stdout.contains("9 PASS"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
#[ignore = "needs QEMU, gcc and PERFSEC_TEST_KERNEL"]
fn a_program_that_never_ends_is_an_error_with_its_name() {
    let ended = run("forever");
    let words = "could not run opener (it did not end within 3 s and was killed)";
    assert!(ended.stdout.contains(words), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 ERROR"), "{}", ended.stdout);
}

#[test]
#[ignore = "needs QEMU, gcc and PERFSEC_TEST_KERNEL"]
fn a_program_gets_a_signal_and_pids_and_can_be_missing() {
    let ended = run("interrupted");
    assert!(ended.stdout.contains("2 PASS"), "{}{}", ended.stdout, ended.stderr);
    let ended = run("missing");
    let words = "the guest has no program `perf`: boot a distribution";
    assert!(ended.stdout.contains(words), "{}{}", ended.stdout, ended.stderr);
}
