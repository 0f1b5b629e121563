//! What makes a result trustworthy, on a real kernel: order, company and repetition change nothing, and a
//! record that the kernel lost is no verdict on the kernel.
//!
//! Needs QEMU and secilc on the search path and, in PERFSEC_TEST_KERNEL, a stock kernel.

#[expect(dead_code, reason = "shared with tests that do not boot")]
mod support;

use rstest::rstest;
use support::{Ended, Place, kernel};

fn run(arguments: &[&str]) -> Ended {
    let (place, kernel) = (Place::new(), kernel());
    let mut all = vec!["run", "--kernel", &kernel, "--accel", "tcg"];
    all.extend(arguments);
    place.perfsec(&all)
}

/// A cell passes only with the very transcript that it has in the order of the suite.
#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn every_cell_sees_the_same_in_another_order() {
    let ended = run(&["--shuffle", "20200212"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

#[rstest]
#[case("open/cpu-kernel/none_t/paranoid=2/sys_admin/permissive")]
#[case("event/own/no_read_t/paranoid=2/perfmon/enforcing")]
#[case("thread/")]
#[case("exec/no-new-privs")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_cell_sees_alone_what_it_sees_among_others(#[case] cell: &str) {
    let ended = run(&[cell]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_cell_sees_the_same_however_often_it_runs() {
    let cells = ["open/cpu-kernel/none_t/paranoid=2", "event/own/all_t/paranoid=2"];
    let ended = run(&[cells[0], cells[1], "--repeat", "25"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

/// Three denials in one syscall, and room for one record.
const FLOOD: &str = r#"
title  = "three records of one syscall"
source = ["kernel/audit.c, audit_log_start(): a record that may not wait is lost over the limit"]
domain = "none_t"
perf_event_paranoid = 2
grant  = "perfmon"
mode   = "permissive"

[[given]]
agent = { audit_backlog = ROOM }

[[step]]
perf_event_open = { attr = { event = "software/dummy" }, pid = -1, cpu = 0 }

[[expect]]
transcript = '''
perf_event_open(...) = fd
  avc denied { open } tclass=perf_event
  cap perfmon = granted
  avc denied { perfmon } capability=38 tclass=capability2
  avc denied { kernel } tclass=perf_event
  cap perfmon = granted
  avc denied { cpu } tclass=perf_event
'''
"#;

#[rstest]
#[case::enough("8192", 0, "1 PASS")]
#[case::too_little("1", 3, "1 ERROR")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_record_that_the_kernel_lost_is_an_error_and_no_failure(
    #[case] room: &str,
    #[case] code: i32,
    #[case] count: &str,
) {
    let (place, kernel) = (Place::new(), kernel());
    place.file("suite/flood.toml", &FLOOD.replace("ROOM", room));
    let ended = place.perfsec(&["run", "--kernel", &kernel, "--accel", "tcg", "--cases", "suite"]);
    assert_eq!(ended.code, Some(code), "{}", ended.stdout);
    assert!(ended.stdout.contains(count), "{}", ended.stdout);
    assert_eq!(ended.stdout.contains("the kernel lost"), code != 0, "{}", ended.stdout);
}
