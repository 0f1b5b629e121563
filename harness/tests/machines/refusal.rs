//! What is refused before anything is changed.

use std::path::Path;

use rstest::rstest;

use crate::support::Place;

#[rstest]
#[case(&["--kernel", "debian:6.12"], "--kernel")]
#[case(&["--policy", "minimal"], "--policy")]
#[case(&["--module", "site.cil"], "--module")]
#[case(&["--boolean", "allow_ptrace=on"], "--boolean")]
#[case(&["--dontaudit", "off"], "--dontaudit")]
#[case(&["--guest", "debian:trixie"], "--guest")]
#[case(&["--qemu", "qemu"], "--qemu")]
#[case(&["--accel", "tcg"], "--accel")]
#[case(&["--append", "quiet"], "--append")]
#[case(&["--jobs", "2"], "--jobs")]
#[case(&["--cold"], "--cold")]
#[case(&["--refresh"], "--refresh")]
fn what_is_about_a_kernel_that_is_booted_is_no_option_of_a_machine(
    #[case] options: &[&str],
    #[case] named: &str,
) {
    let place = Place::new();
    let all = [["run", "--machine", "here"].as_slice(), options].concat();
    let ended = place.perfsec(&all);
    ended.fails(2, "cannot be used with");
    assert!(ended.stderr.contains("--machine"), "{}", ended.stderr);
    assert!(ended.stderr.contains(named), "{}", ended.stderr);
}

#[test]
fn an_unknown_machine_is_bad_input() {
    let place = Place::new();
    place.perfsec(&["run", "--machine", "there:1"]).fails(2, "unknown machine `there:1`");
    let ended = place.perfsec(&["run", "--machine", "there"]);
    ended.fails(2, "no machine `there`: ~/.config/perfsec/machines.toml is missing");
}

#[test]
fn a_machine_without_selinux_says_so_in_one_line() {
    if Path::new("/sys/fs/selinux/policy").exists() {
        // There is SELinux here, and the test of a run in a guest is about such machines.
        return;
    }
    let place = Place::new();
    let ended = place.perfsec(&["run", "--machine", "here"]);
    ended.fails(4, "cannot run cells on this machine: its kernel has no SELinux");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}
