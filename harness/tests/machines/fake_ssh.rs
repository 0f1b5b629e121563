//! `perfsec run --machine ssh:HOST` with a program in the place of ssh, which runs the command on
//! this machine, or fails as ssh does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rstest::rstest;

use crate::support::{Ended, Place};

/// Runs the command that ssh would run there: the last argument.
const LOCALLY: &str = "for last; do :; done; exec sh -c \"$last\"";

/// Runs cells on the machine `m` with this script in the place of ssh, and others of that machine.
fn run(place: &Place, ssh: &str, others: &[(&str, &str)]) -> Ended {
    for (name, script) in others.iter().chain(&[("ssh", ssh)]) {
        let path = place.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a script");
    }
    let (path, own) = (std::env::var("PATH").expect("PATH is set"), place.path().join("bin"));
    let mut command = place.command(&["run", "--machine", "ssh:m", "--quiet"]);
    command.env("PATH", format!("{}:{path}", own.display())).env("TMPDIR", place.path());
    Ended::of(command.output().expect("perfsec starts"))
}

/// True if the agent starts on this machine, and finds no SELinux. The test of runs in a guest is
/// about other machines.
fn agent_finds_no_selinux() -> bool {
    !Path::new("/sys/fs/selinux/policy").exists() && nix::unistd::Uid::effective().is_root()
}

#[rstest]
#[case::unknown_host(
    "ssh: Could not resolve hostname m: Name or service not known",
    "ssh says: ssh: Could not resolve hostname m: Name or service not known"
)]
#[case::refused("m: Permission denied (publickey).", "ssh says: m: Permission denied (publickey)")]
#[case::changed_key(
    "@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@@\n\
     Host key for m has changed and you have requested strict checking.\n\
     Host key verification failed.",
    "ssh says: Host key for m has changed and you have requested strict checking; Host key \
     verification failed"
)]
fn a_machine_that_ssh_does_not_reach_is_named_in_the_words_of_ssh(
    #[case] said: &str,
    #[case] words: &str,
) {
    let place = Place::new();
    let ended = run(&place, &format!("cat >&2 <<'END'\n{said}\nEND\nexit 255"), &[]);
    ended.fails(5, &format!("cannot reach ssh:m: {words}"));
}

#[test]
fn without_ssh_it_is_named() {
    let place = Place::new();
    let empty = place.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let mut command = place.command(&["run", "--machine", "ssh:m"]);
    let ended = Ended::of(command.env("PATH", empty).output().expect("perfsec starts"));
    ended.fails(5, "cannot start `ssh`");
}

#[rstest]
#[case::architecture("uname", "echo aarch64", "it is aarch64, and perfsec knows")]
#[case::user("id", "echo 1000", "that needs root: log in as root")]
fn a_machine_on_which_no_cell_can_run_says_why(
    #[case] program: &str,
    #[case] script: &str,
    #[case] words: &str,
) {
    let place = Place::new();
    let ended = run(&place, LOCALLY, &[(program, script), ("sudo", "exit 1")]);
    ended.fails(4, &format!("cannot run cells on ssh:m: {words}"));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn a_shell_that_runs_no_command_is_told_from_ssh() {
    let place = Place::new();
    let ended = run(&place, "echo 'This account is currently not available.'; exit 1", &[]);
    ended.fails(5, "cannot start the agent on ssh:m: it does not run the command");
}

#[rstest]
// As the files do that a shell reads when it starts.
#[case::talkative_shell("echo Welcome!")]
#[case::no_programs_in_the_first_directory("export TMPDIR=/proc")]
fn the_agent_looks_at_the_machine_and_leaves_nothing_there(#[case] before: &str) {
    if !agent_finds_no_selinux() {
        return;
    }
    let place = Place::new();
    let ended = run(&place, &format!("{before}; {LOCALLY}"), &[]);
    ended.fails(4, "cannot run cells on ssh:m: its kernel has no SELinux");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let names = fs::read_dir(place.path()).expect("a directory").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let left: Vec<_> = names.filter(|name| name.starts_with("perfsec-")).collect();
    assert!(left.is_empty(), "{left:?}");
}
