//! Guest systems that cannot be built: one error, its exit code, and nothing half-made. The programs
//! that build one are fakes.

#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;
use support::{Ended, Place};

/// The programs around mmdebstrap that end it with perfsec; they are the host's own.
const AROUND: [&str; 2] = ["setpriv", "unshare"];

/// perfsec with these scripts as the only programs besides the shell's.
fn command(place: &Place, scripts: &[(&str, &str)], arguments: &[&str]) -> Command {
    let programs = place.path().join("programs");
    fs::create_dir_all(&programs).expect("a directory");
    for (name, script) in scripts {
        let path = programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let mut command = place.command(arguments);
    command.env("PATH", &programs);
    command
}

/// Builds a system with this script as mmdebstrap.
fn build(place: &Place, mmdebstrap: &str) -> Command {
    let apt = "echo 'http://127.0.0.1:9/debian|Debian|Debian'";
    let scripts = [("apt-config", "true"), ("apt-get", apt), ("mmdebstrap", mmdebstrap)];
    let command = command(place, &scripts, &["guest", "build", "debian:trixie"]);
    for name in AROUND {
        let program = Path::new("/usr/bin").join(name);
        symlink(program, place.path().join("programs").join(name)).expect("the place is ours");
    }
    command
}

fn nothing_is_left(place: &Path) {
    for below in ["cache/guests", "cache/tmp"] {
        let left = fs::read_dir(place.join(below)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{below}");
    }
}

#[rstest]
#[case::unknown_suite("debian:sarge", "find Debian suite \"sarge\": unknown suite; known are ")]
#[case::addition("debian:trixie-backports", "trixie-backports is no whole system")]
#[case::another_distribution("fedora:42", "expected debian:SUITE")]
fn a_system_that_nobody_can_build_is_bad_input(#[case] system: &str, #[case] words: &str) {
    let place = Place::new();
    for arguments in [
        ["guest", "build", system].as_slice(),
        ["guest", "pack", system, "initramfs.img"].as_slice(),
        ["shell", "--guest", system].as_slice(),
        ["run", "--guest", system].as_slice(),
    ] {
        place.perfsec(arguments).fails(2, words);
    }
    assert!(!place.path().join("initramfs.img").exists());
}

#[test]
fn a_guest_system_has_its_own_policy() {
    let place = Place::new();
    let arguments = ["run", "--guest", "debian:trixie", "--policy", "minimal"];
    place.perfsec(&arguments).fails(2, "cannot be used with");
}

#[test]
fn a_host_without_mmdebstrap_gets_the_command_that_installs_it() {
    let place = Place::new();
    let ended = command(&place, &[], &["guest", "build", "debian:trixie"]).output().unwrap();
    let ended = Ended::of(ended);
    ended.fails(5, "find mmdebstrap (which builds guest systems)");
    nothing_is_left(place.path());
}

#[rstest]
#[case::no_package(
    "echo 'E: Unable to locate package linux-perf' >&2; exit 1",
    2,
    "no package linux-perf"
)]
#[case::failed(
    "printf half; echo 'E: no space' >&2; exit 1",
    5,
    "mmdebstrap failed; it says:\n  E: no space"
)]
#[case::not_a_tar("printf '%01000d' 0", 5, "read the root that mmdebstrap made")]
#[case::empty("exit 0", 5, "is incomplete: it has no ")]
#[ignore = "needs debian-archive-keyring"]
fn a_build_that_fails_is_reported_and_keeps_nothing(
    #[case] mmdebstrap: &str,
    #[case] code: i32,
    #[case] words: &str,
) {
    let place = Place::new();
    let ended = Ended::of(build(&place, mmdebstrap).output().unwrap());
    ended.fails(code, words);
    nothing_is_left(place.path());
}

#[test]
#[ignore = "needs debian-archive-keyring"]
fn an_interrupted_build_keeps_nothing() {
    let place = Place::new();
    let script = "printf begun >begun; exec /bin/sleep 1000";
    let mut command = build(&place, script);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path().join("begun").exists() {
        assert!(Instant::now() < deadline, "mmdebstrap was not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let ended = Ended::of(child.wait_with_output().unwrap());
    ended.fails(130, "interrupted; nothing of it is kept");
    nothing_is_left(place.path());
}
