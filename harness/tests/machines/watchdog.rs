//! A kernel that hangs while nobody listens: the machine's watchdog brings it back.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::hang;
use crate::site::{emulated, options};

/// The kernel under test: one that perfsec builds, because stock kernels have the drivers of
/// watchdogs as modules.
const TREE: &str = "tree:debian:7.3";

/// Several times what the watchdog waits.
const LIMIT: Duration = Duration::from_secs(900);

/// The machine's own kernel is the package in `PERFSEC_TEST_KERNEL`.
#[test]
#[ignore = "needs QEMU, a kernel package, and the tools that build a kernel"]
fn a_kernel_that_hangs_while_nobody_listens_is_reset_by_the_watchdog() {
    let (bench, _) = emulated();
    let mut command = bench.command(&[&options(TREE)[..], &["open/"]].concat());
    let mut perfsec = command.env_remove("PERFSEC_CACHE_DIR").spawn().expect("it starts");
    let record = bench.place().path().join("run.jsonl");
    while !fs::read_to_string(&record).is_ok_and(|text| text.contains("\"event\":\"ready\"")) {
        assert!(perfsec.try_wait().expect("it is ours").is_none(), "{}", bench.log());
        thread::sleep(Duration::from_millis(100));
    }
    let text = fs::read_to_string(&record).expect("a record");
    assert!(text.contains(r#""watchdog":"i6300ESB timer""#), "{text}");
    perfsec.kill().expect("it runs");
    perfsec.wait().expect("it is ours");
    hang(&bench.path("gdb"));
    assert!(!bench.is_home());
    let hung = Instant::now();
    while !bench.is_home() {
        assert!(hung.elapsed() < LIMIT, "it hangs");
        thread::sleep(Duration::from_millis(100));
    }
    println!("reset after {:.0} s", hung.elapsed().as_secs_f64());
}
