//! Kernels, policies and signals that end a run, on a real kernel.
//!
//! Needs QEMU and secilc in `PATH`, and a stock kernel in `PERFSEC_TEST_KERNEL`.

#[expect(dead_code, reason = "shared with tests that do not boot")]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use support::{Ended, Place, kernel, minimal};

fn run(place: &Place, arguments: &[&str]) -> Ended {
    let kernel = kernel();
    let mut all = vec!["run", "--kernel", &kernel, "--accel", "tcg", "--boot-limit", "60"];
    all.extend(arguments);
    place.perfsec(&all)
}

/// A QEMU that does this, in a shell, beside each guest. `$$` is its process id.
fn qemu_beside(place: &Place, work: &str) -> String {
    let script = format!(
        "#!/bin/sh\nfor word; do\n  case $word in *id=agent,*) ({work}) & ;; esac\ndone\n\
         exec qemu-system-x86_64 \"$@\"\n"
    );
    let path = place.file("qemu", &script);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, executable).expect("it is ours");
    path
}

/// `panic=0` leaves a kernel that panicked in a loop without an end. The report of a soft lockup is
/// that of a kernel with `CONFIG_SOFTLOCKUP_DETECTOR`, which repeats it.
#[rstest]
#[case::silently("true", "kernel panic: sysrq triggered crash while this cell ran")]
#[case::talking(
    concat!(
        "while sleep 1; do printf '[   99.000000] watchdog: BUG: soft lockup - ",
        "CPU#0 stuck for 22s! [subject:97]\\r\\n'; done"
    ),
    "soft lockup of subject while this cell ran"
)]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_kernel_that_hangs_in_a_cell_fails_it_whatever_it_prints(
    #[case] work: &str,
    #[case] words: &str,
) {
    let place = Place::new();
    let (qemu, suite) = (qemu_beside(&place, work), support::place("suite").display().to_string());
    let (started, limit) = (Instant::now(), Duration::from_secs(240));
    let ended = run(
        &place,
        &[
            "--qemu",
            &qemu,
            "--cases",
            &suite,
            "--append",
            "panic=0",
            "--silence-limit",
            "20",
            "host/panics",
        ],
    );
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(words), "{}", ended.stdout);
    assert!(started.elapsed() < limit, "it waited for the console to end");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_qemu_that_is_killed_while_it_boots_is_no_fault_of_the_kernel() {
    let place = Place::new();
    let qemu = qemu_beside(&place, "sleep 2; kill -9 $$");
    let ended = run(&place, &["-j", "1", "--qemu", &qemu, "event/read/"]);
    assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
    let words = "QEMU was killed by a signal (9, SIGKILL) while the kernel booted";
    assert!(ended.stdout.contains(words), "{}", ended.stdout);
    assert!(ended.stdout.contains("2 boots"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("did not come up"), "{}", ended.stdout);
}

/// A rule of the policy `minimal`.
const RULE: &str = "(allow domain object_t (file (all)))";

/// The policy `minimal` with one replacement.
fn damaged(from: &str, to: &str) -> String {
    let minimal = minimal();
    assert!(minimal.contains(from), "the policy no longer has `{from}`");
    minimal.replacen(from, to, 1)
}

/// Verdict and name of each FAIL, ERROR and MISS cell.
fn bad(ended: &Ended) -> Vec<(String, String)> {
    let words = |line: &str| {
        let (verdict, rest) = line.split_once(' ')?;
        let name = rest.split(": ").next()?;
        ["FAIL", "ERROR", "MISS"].contains(&verdict).then(|| (verdict.to_owned(), name.to_owned()))
    };
    ended.stderr.lines().filter_map(words).collect()
}

#[rstest]
#[case::nothing(&[], 0, "5 PASS")]
#[case::no_selinux(&["security=apparmor"], 6, "the kernel has no SELinux")]
#[case::no_audit(&["audit=0"], 6, "the kernel has no audit")]
#[case::panic(&["rdinit=/absent"], 6, "did not come up: kernel panic")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_kernel_disabled_by_a_boot_parameter_is_reported(
    #[case] parameters: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let place = Place::new();
    let mut arguments = vec!["open/self-user/all_t/paranoid=2/none", "--mode", "enforcing"];
    arguments.push("open/self-user/all_t/paranoid=2/perfmon/");
    arguments.push("open/self-user/all_t/paranoid=2/sys_admin/");
    arguments.push("open/self-user/all_t/paranoid=2/perfmon+sys_admin/");
    parameters.iter().for_each(|parameter| arguments.extend(["--append", parameter]));
    let ended = run(&place, &arguments);
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(words), "{}", ended.stdout);
}

#[rstest]
#[case("perfmon", "other", "does not define capability2 { perfmon }")]
#[case("(handleunknown allow)", "(handleunknown reject)", "not defined in policy")]
#[case("(handleunknown allow)", "(handleunknown deny)", "handleunknown deny")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn an_unusable_policy_is_reported_once(#[case] from: &str, #[case] to: &str, #[case] words: &str) {
    let place = Place::new();
    let policy = place.file("damaged.cil", &minimal().replace(from, to));
    let ended = run(&place, &["--policy", &policy, "event/read/"]);
    assert_eq!(ended.code, Some(6), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout.matches(words).count(), 1, "{}", ended.stdout);
    assert!(ended.stdout.contains("25 ERROR"), "{}", ended.stdout);
}

#[rstest]
#[case::allowed("allow", "the policy allows it")]
#[case::hidden("dontaudit", "a dontaudit rule")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn an_extra_permission_fails_the_cells_that_expect_a_denial_and_no_others(
    #[case] kind: &str,
    #[case] reason: &str,
) {
    let place = Place::new();
    let rule = format!("{RULE}\n({kind} no_read_t domain (perf_event (read)))");
    let policy = place.file("damaged.cil", &damaged(RULE, &rule));
    let ended = run(&place, &["--policy", &policy, "event/read/", "open/cpu-user"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let bad = bad(&ended);
    // Two values of perf_event_paranoid, two grants, two modes.
    assert_eq!(bad.len(), 8, "{bad:?}");
    for (verdict, cell) in bad {
        assert_eq!(verdict, "FAIL", "{cell}");
        assert!(cell.starts_with("event/read/no_read_t/"), "{cell}");
    }
    assert!(ended.stdout.contains("no record of perf_event { read }"), "{}", ended.stdout);
    assert!(ended.stdout.contains(reason), "{}", ended.stdout);
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_capability_denial_hidden_by_dontaudit_is_recognised() {
    let place = Place::new();
    let hide = format!("{RULE}\n(dontaudit no_perfmon_t domain (capability2 (perfmon)))");
    let policy = place.file("damaged.cil", &damaged(RULE, &hide));
    let ended = run(&place, &["--policy", &policy, "open/self-kernel"]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    // Cells without the capability do not fail: they only lose their control.
    for (_, cell) in bad(&ended).into_iter().filter(|(verdict, _)| verdict == "FAIL") {
        let holds = cell.split('/').any(|part| part.starts_with("perfmon"));
        assert!(cell.starts_with("open/self-kernel/no_perfmon_t/") && holds, "{cell}");
    }
    let reason = "SELinux refused it without a record, so a dontaudit rule hides it";
    assert!(ended.stdout.contains(reason), "{}", ended.stdout);
}

#[rstest]
#[case(Signal::SIGINT, Some(130), 200)]
#[case(Signal::SIGTERM, Some(143), 3000)]
#[case(Signal::SIGKILL, None, 3000)]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_signal_leaves_no_qemu_and_a_readable_record(
    #[case] signal: Signal,
    #[case] code: Option<i32>,
    #[case] after: u64,
) {
    let place = Place::new();
    let record = place.path().join("record.jsonl");
    let (kernel, out) = (kernel(), record.display().to_string());
    let mut command = place.command(&["run", "--kernel", &kernel, "--accel", "tcg", "--out", &out]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("perfsec starts");
    let until = Instant::now() + Duration::from_secs(60);
    while !std::fs::metadata(&record).is_ok_and(|data| data.len() > 0) {
        assert!(Instant::now() < until, "no run record");
        std::thread::sleep(Duration::from_millis(50));
    }
    // Any point of the boot will do.
    std::thread::sleep(Duration::from_millis(after));
    let pid = child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let machines: Vec<i32> =
        children.expect("it runs").split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    kill(Pid::from_raw(pid as i32), signal).expect("it is ours");
    let output = child.wait_with_output().expect("it ends");
    let ended = Ended::of(output);
    assert_eq!(ended.code, code, "{}", ended.stderr);
    let until = Instant::now() + Duration::from_secs(5);
    for machine in machines {
        while kill(Pid::from_raw(machine), None).is_ok() {
            assert!(Instant::now() < until, "QEMU {machine} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    perfsec::record::read(&record).expect("the record is readable");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn two_perfsec_processes_share_a_cache() {
    let place = Place::new();
    let kernel = kernel();
    let arguments = ["run", "--kernel", &kernel, "--accel", "tcg", "event/read/"];
    let start = || {
        let mut command = place.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("perfsec starts")
    };
    let both = [start(), start()];
    for child in both {
        let ended = Ended::of(child.wait_with_output().expect("it ends"));
        ended.succeeds();
        assert!(ended.stdout.contains("25 PASS"), "{}", ended.stdout);
    }
}
