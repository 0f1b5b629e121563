//! `perfsec run --machine here` in a guest system, as on somebody's machine: auditd runs, and
//! nothing may differ afterwards.
//!
//! Needs QEMU, the guest system `debian:trixie`, a kernel in `PERFSEC_TEST_KERNEL`, and in
//! `PERFSEC_TEST_PROGRAM` a static perfsec of the same sources.

use std::time::Duration;

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

/// The time in which an emulated guest links its policy.
const LINK: Duration = Duration::from_secs(3600);

/// Cases in domains of perfsec's, each of which needs one: for its transcript, for the domain that
/// an execution enters, for a boolean of the policy, and for files.
const OF_OUR_DOMAINS: &str = "policy/boolean policy/boolean-revokes 'exec/transition-*' proc/maps";

/// Something without which no domain can be added: its path, a place to hide it, the error and the
/// exit code.
const NEEDED: [(&str, &str, &str, i32); 3] = [
    ("/usr/sbin/semodule", "/usr/sbin/hidden", "find semodule", 5),
    ("/etc/selinux/default/policy/policy.33", "/root/hidden", "policy.33 does not exist", 4),
    ("/var/lib/selinux/default/active/modules", "/root/hidden", "has no modules", 4),
];

#[test]
#[ignore = "needs QEMU, a guest system, PERFSEC_TEST_KERNEL and PERFSEC_TEST_PROGRAM"]
fn a_run_with_our_domains_in_its_policy_leaves_the_machine_as_it_was() {
    let (mut guest, run) = machine();
    let (output, code) = guest.ask(&format!("{run} --quiet {OF_OUR_DOMAINS} 2>&1"));
    assert_eq!(code, 4, "all are skipped: {output}");

    let run = format!("{run} --add-module");
    for (path, hidden, words, wanted) in NEEDED {
        guest.run(&format!("mv {path} {hidden}"));
        let (_, code) = guest.ask(&format!("{run} {OF_OUR_DOMAINS} >/root/output 2>&1"));
        guest.run(&format!("mv {hidden} {path}"));
        // A message has lines.
        let output = guest.run("tr -s ' \\n' ' ' </root/output");
        assert!(code == wanted && output.contains(words), "{code}: {output}");
    }
    // The advice on packages asks apt, which keeps a cache.
    guest.run("rm -f /var/cache/apt/*.bin");
    is_unchanged(&mut guest);

    let command = format!("{run} --format ktap {OF_OUR_DOMAINS} 2>/root/errors");
    let (output, code) = guest.ask_within(LINK, &command);
    let errors = guest.run("cat /root/errors");
    assert_eq!(code, 0, "{output}{errors}");
    for case in ["policy/boolean", "exec/transition-refused-nnp", "proc/maps"] {
        // Not `# SKIP`.
        let is_pass = |line: &str| line.starts_with("  ok ") && line.ends_with(&format!(" {case}"));
        assert!(output.lines().any(is_pass), "{case}: {output}");
    }
    is_unchanged(&mut guest);

    // The policy is linked already.
    guest.run("rm /root/cache/runs/*");
    let start = format!("{run} --quiet --repeat 20 {OF_OUR_DOMAINS} >/root/output 2>&1 &");
    let count = "grep -c perfsec_domain /sys/fs/selinux/policy";
    let kill = format!("wait_for_cells; {count}; kill -KILL $!; wait $!");
    let (output, code) = guest.ask(&format!("{start} {kill}"));
    assert_eq!(code, 137, "{output}");
    assert!(output.lines().any(|line| line == "1"), "the policy has our domains: {output}");
    is_unchanged(&mut guest);
}
