//! A guest on whose machine nothing may differ after a run.

use std::path::Path;

use crate::guest::Guest;

/// Prints what a run could leave changed.
const STATE: &str = include_str!("state.sh");

/// Shell functions.
const TOOLS: &str = r#"
# Waits until a cell of a run has passed: the policy is asked before, by an agent of its own, and
# cells are skipped before any begins.
wait_for_cells() {
    until grep -qs '"verdict":"PASS"' /root/cache/runs/*.jsonl; do sleep 0.2; done
}
# The process of the agent with this role.
agent() {
    for process in /proc/[0-9]*; do
        tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -q "agent $1 /" && echo "${process#/proc/}"
    done
}
"#;

/// Cases with sysctls, audit rules and the threshold of the cache.
pub(crate) const CELLS: &str =
    "open/cpu-kernel audit/again-cache-threshold audit/rule-open audit/exclude bpf/map";

/// A guest that has the perfsec to test, and other static programs; and the name of perfsec there.
pub(crate) fn boot(others: &[&str]) -> (Guest, String) {
    let program = std::env::var("PERFSEC_TEST_PROGRAM").expect("PERFSEC_TEST_PROGRAM is a perfsec");
    let mut guest = Guest::boot(&[&[program.as_str()], others].concat());
    let name = Path::new(&program).file_name().expect("a file").to_string_lossy().into_owned();
    guest.run(&format!("restorecon /usr/bin/{name}; export PERFSEC_CACHE_DIR=/root/cache"));
    guest.run(&format!("cat >/root/state.sh <<'END'\n{STATE}\nEND"));
    guest.run(&format!("cat >/root/tools.sh <<'END'\n{TOOLS}\nEND"));
    // As a machine is; the guest boots permissive.
    guest.run(". /root/tools.sh; setenforce 1");
    (guest, name)
}

/// Notes the state of the machine before a run.
pub(crate) fn note_state(guest: &mut Guest) {
    guest.run("sh /root/state.sh >/root/before");
}

/// The exit code of a run that was cut short. A death between two cells spoils none, and if the
/// others can run, all pass.
pub(crate) fn code_after_death(said: &str, of_cell: i32) -> i32 {
    let is_spoiled = [" ERROR", " MISS"].iter().any(|verdict| said.contains(verdict));
    if said.contains("while no cell ran") && !is_spoiled { 0 } else { of_cell }
}

/// Checks that the machine is as it was before the run.
#[track_caller]
pub(crate) fn is_unchanged(guest: &mut Guest) {
    // A guardian outlives a perfsec that was killed, and a connection that was lost.
    guest.run("while [ -e /sys/kernel/tracing/instances/perfsec ]; do sleep 1; done; sleep 3");
    let compare = "sh /root/state.sh >/root/after; diff /root/before /root/after";
    let (difference, code) = guest.ask(compare);
    assert_eq!(code, 0, "{difference}");
    guest.run("systemctl is-active auditd");
}
