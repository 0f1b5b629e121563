//! `perfsec run --machine here` in a guest system, as on somebody's machine: auditd runs, and nothing
//! may differ afterwards.
//!
//! Needs QEMU, the guest system `debian:trixie`, a kernel in `PERFSEC_TEST_KERNEL`, and in
//! `PERFSEC_TEST_PROGRAM` a static perfsec of the same sources.

use std::path::Path;

use rstest::rstest;

use crate::guest::Guest;

/// Prints what a run could leave changed.
const STATE: &str = include_str!("state.sh");

/// Shell functions.
const TOOLS: &str = r#"
# Waits until cells of a run have begun: the policy is asked before, by an agent of its own.
wait_for_cells() {
    until grep -qs '"event":"ready"' /root/cache/runs/*.jsonl; do sleep 1; done
    sleep 3
}
# The process of the agent with this role.
agent() {
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q "agent $1 /" && echo "${process#/proc/}"
    done
}
"#;

/// Cases with sysctls, audit rules and the threshold of the cache.
const CELLS: &str =
    "open/cpu-kernel audit/again-cache-threshold audit/rule-open audit/exclude bpf/map";

/// A guest that has perfsec, and the command that runs cells there.
fn machine() -> (Guest, String) {
    let path = std::env::var("PERFSEC_TEST_PROGRAM").expect("PERFSEC_TEST_PROGRAM is a perfsec");
    let mut guest = Guest::boot(&path);
    let name = Path::new(&path).file_name().expect("a file").to_string_lossy().into_owned();
    guest.run(&format!("restorecon /usr/bin/{name}; export PERFSEC_CACHE_DIR=/root/cache"));
    guest.run(&format!("cat >/root/state.sh <<'END'\n{STATE}\nEND"));
    guest.run(&format!("cat >/root/tools.sh <<'END'\n{TOOLS}\nEND"));
    // As a machine is; the guest boots permissive.
    guest.run(". /root/tools.sh; setenforce 1; sh /root/state.sh >/root/before");
    (guest, format!("{name} run --machine here"))
}

/// Checks that the machine is as it was before the run.
#[track_caller]
fn is_unchanged(guest: &mut Guest) {
    let compare = "sh /root/state.sh >/root/after; diff /root/before /root/after";
    let (difference, code) = guest.ask(compare);
    assert_eq!(code, 0, "{difference}");
    guest.run("systemctl is-active auditd");
}

#[test]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_KERNEL and PERFSEC_TEST_PROGRAM"]
fn a_run_passes_beside_auditd_and_leaves_the_machine_as_it_was() {
    let (mut guest, run) = machine();
    let (output, code) = guest.ask(&format!("{run} --format ktap {CELLS} 2>/dev/null"));
    assert_eq!(code, 0, "{output}");
    assert!(output.starts_with("KTAP version 1\n"), "{output}");
    assert!(output.contains("# machine: here, none"), "{output}");
    assert!(output.contains("/paranoid=0/perfmon/enforcing\n"), "{output}");
    is_unchanged(&mut guest);
    let record = guest.run("grep -h '\"ready\"' /root/cache/runs/*.jsonl");
    assert!(record.contains(r#""means":"multicast""#), "{record}");
}

#[rstest]
#[case::interrupt("INT", "$!", 130)]
#[case::term("TERM", "$!", 143)]
#[case::kill("KILL", "$!", 137)]
#[case::death_of_the_worker("KILL", "$(agent work)", 3)]
#[case::death_of_the_guardian("KILL", "$(agent guard)", 3)]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_KERNEL and PERFSEC_TEST_PROGRAM"]
fn a_run_that_is_cut_short_leaves_the_machine_as_it_was(
    #[case] signal: &str,
    #[case] process: &str,
    #[case] wanted: i32,
) {
    let (mut guest, run) = machine();
    let start = format!("{run} --quiet --repeat 20 {CELLS} >/root/output 2>&1 &");
    let kill = format!("wait_for_cells; kill -{signal} {process}; wait $!");
    let (output, code) = guest.ask(&format!("{start} {kill}"));
    let said = guest.run("cat /root/output");
    assert_eq!(code, wanted, "{output}\n{said}");
    // The guardian outlives a perfsec that was killed.
    guest.run("while [ -e /sys/kernel/tracing/instances/perfsec ]; do sleep 1; done; sleep 3");
    is_unchanged(&mut guest);
}
