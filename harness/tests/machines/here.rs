//! `perfsec run --machine here` in a guest system, as on somebody's machine: auditd runs, and
//! nothing may differ afterwards.
//!
//! Needs QEMU, the guest system `debian:trixie`, a kernel in `PERFSEC_TEST_KERNEL`, and in
//! `PERFSEC_TEST_PROGRAM` a static perfsec of the same sources.

use rstest::rstest;

use crate::guest::Guest;
use crate::unchanged::{self, CELLS, code_after_death, is_unchanged};

/// A guest that has perfsec, and the command that runs cells there.
fn machine() -> (Guest, String) {
    let (mut guest, name) = unchanged::boot(&[]);
    unchanged::note_state(&mut guest);
    (guest, format!("{name} run --machine here"))
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
#[case::interrupt("INT", "$!", 130, "")]
#[case::term("TERM", "$!", 143, "")]
#[case::kill("KILL", "$!", 137, "")]
#[case::death_of_the_worker("KILL", "$(agent work)", 3, "the agent was killed by a signal")]
#[case::death_of_the_guardian("KILL", "$(agent guard)", 3, "guardian was killed by a signal")]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_KERNEL and PERFSEC_TEST_PROGRAM"]
fn a_run_that_is_cut_short_leaves_the_machine_as_it_was(
    #[case] signal: &str,
    #[case] process: &str,
    #[case] wanted: i32,
    #[case] words: &str,
) {
    let (mut guest, run) = machine();
    let start = format!("{run} --quiet --repeat 5 {CELLS} >/root/output 2>&1 &");
    let kill = format!("wait_for_cells; kill -{signal} {process}; wait $!");
    let (output, code) = guest.ask(&format!("{start} {kill}"));
    let said = guest.run("cat /root/output");
    assert_eq!(code, code_after_death(&said, wanted), "{output}\n{said}");
    assert!(said.contains(words), "{said}");
    is_unchanged(&mut guest);
}
