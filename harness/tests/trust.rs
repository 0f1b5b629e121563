//! Tests on a real kernel that results are trustworthy: they do not depend on the order of cells,
//! on other cells or on repetition, and a lost record is not held against the kernel.
//!
//! They need QEMU and secilc in PATH, a stock kernel in PERFSEC_TEST_KERNEL, and one before 6.6 in
//! PERFSEC_TEST_OLD_KERNEL.

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

/// A cell passes only with the transcript that it has in the order of the suite.
#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn every_cell_passes_in_another_order() {
    let ended = run(&["--shuffle", "20200212"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

#[rstest]
#[case("open/cpu-kernel/none_t/paranoid=2/sys_admin/permissive")]
#[case("event/own/no_read_t/paranoid=2/perfmon/enforcing")]
#[case("thread/")]
#[case("exec/no-new-privs")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_cell_passes_without_the_others(#[case] cell: &str) {
    let ended = run(&[cell]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_cell_passes_however_often_it_runs() {
    let cells = ["open/cpu-kernel/none_t/paranoid=2", "event/own/all_t/paranoid=2"];
    let ended = run(&[cells[0], cells[1], "--repeat", "25"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

/// The first cells make a child with their event and its program. The others have room for the ids
/// of four programs.
#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_OLD_KERNEL"]
fn no_child_outlives_its_cell() {
    let kernel = std::env::var("PERFSEC_TEST_OLD_KERNEL");
    let kernel = kernel.expect("PERFSEC_TEST_OLD_KERNEL names a kernel image");
    let cells = ["bpf/task-fd-query-errors", "bpf/attach/all_t"];
    let ended =
        Place::new().perfsec(&["run", "--kernel", &kernel, "--repeat", "8", cells[0], cells[1]]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

/// Three denials in one syscall. With a backlog limit of 1, the kernel loses records.
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
#[case::enough("8192", 0, "2 PASS")]
#[case::too_little("1", 3, "1 ERROR")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_lost_record_is_an_error_not_a_failure(
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

/// The kernel's log does not mention every lost record.
#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_silently_lost_record_is_an_error_too() {
    let (place, kernel) = (Place::new(), kernel());
    let switch = |name, value| {
        let path = format!("/proc/sys/kernel/{name}");
        format!("[[given]]\nagent = {{ write = {{ path = \"{path}\", text = \"{value}\" }} }}\n")
    };
    let silence = switch("printk_ratelimit", 3600) + &switch("printk_ratelimit_burst", 0);
    let flood = FLOOD.replace("ROOM", "1").replace("[[given]]", &format!("{silence}[[given]]"));
    place.file("suite/flood.toml", &flood);
    let ended = place.perfsec(&["run", "--kernel", &kernel, "--accel", "tcg", "--cases", "suite"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    assert!(ended.stdout.contains("find every lost audit record"), "{}", ended.stdout);
}
