//! Hostile input and surroundings: endless files, pipes, closed descriptors, inherited signals.

#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use rstest::rstest;
use support::{Ended, Place};

const RECORD: &str = include_str!("report/run.jsonl");

/// Far longer than any of these commands takes, and far shorter than for ever.
const PATIENCE: &str = "60";

/// perfsec, as a shell command sees it in `$PERFSEC`, ended after a minute (exit code 124).
fn shell(place: &Place, script: &str) -> Command {
    let perfsec = place.command(&[]);
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", PATIENCE, "sh", "-c", script]).current_dir(place.path());
    for (name, value) in perfsec.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("PERFSEC", perfsec.get_program());
    command
}

fn run(place: &Place, script: &str) -> Ended {
    Ended::of(shell(place, script).output().expect("coreutils"))
}

#[rstest]
#[case::record("$PERFSEC report /dev/zero", "not a run record")]
#[case::long_line("(head -c1 run.jsonl; cat /dev/zero) | $PERFSEC report /dev/stdin", "32 MiB")]
#[case::known("$PERFSEC known --known /dev/zero", "larger than 4 MiB")]
#[case::mailbox("$PERFSEC report run.jsonl --mail --reply-to-mbox /dev/zero", "64 MiB")]
#[case::series("$PERFSEC series --tree . /dev/zero", "64 MiB")]
#[case::zipped_series("$PERFSEC series --tree . bomb.gz", "64 MiB")]
fn an_endless_file_is_refused_at_its_limit(#[case] script: &str, #[case] words: &str) {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let zip = "head -c 100M /dev/zero | gzip > bomb.gz";
    // The shell's limit of memory, in KiB: what is read is not kept past the limit of its kind.
    let ended = run(&place, &format!("{zip}; ulimit -v 2000000; {script}"));
    ended.fails(2, words);
}

#[test]
fn a_pipe_among_cases_is_refused_at_once() {
    let place = Place::new();
    fs::create_dir(place.path().join("suite")).expect("a directory");
    mkfifo(&place.path().join("suite/case.toml"), Mode::S_IRWXU).expect("a pipe");
    let ended = run(&place, "$PERFSEC run --list --cases suite");
    ended.fails(2, "suite/case.toml: it is a pipe, not a regular file");
}

#[test]
fn a_directory_of_cases_that_contains_itself_twice_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path().join("suite")).expect("a directory");
    for name in ["a", "b"] {
        symlink(".", place.path().join("suite").join(name)).expect("a link");
    }
    run(&place, "$PERFSEC run --list --cases suite").fails(2, "more than 10000 files");
}

#[test]
fn a_file_that_the_user_names_may_be_a_pipe() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let known = "[[known]]\nname = \"a\"\ncells = [\"event/read/*\"]\nreason = \"a patch\"\n";
    place.file("known.toml", known);
    run(&place, "cat run.jsonl | $PERFSEC report /dev/stdin").succeeds();
    run(&place, "cat known.toml | $PERFSEC known --known /dev/stdin").succeeds();
    // Its first byte decides that it is a record, and is not lost.
    let ended = run(&place, "cat run.jsonl | $PERFSEC allow /dev/stdin");
    ended.succeeds();
    assert!(ended.stdout.contains("what the records in stdin ask for"), "{}", ended.stdout);
}

#[test]
fn a_closed_standard_output_is_an_error_only_for_what_is_written_there() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    for arguments in ["run --list", "report run.jsonl", "--help", "completions bash"] {
        let ended = run(&place, &format!("$PERFSEC {arguments} >&-"));
        ended.fails(5, "cannot write to standard output: Bad file descriptor");
    }
    run(&place, "$PERFSEC report run.jsonl --out report.txt >&-").succeeds();
    let report = fs::read_to_string(place.path().join("report.txt")).expect("the report");
    assert!(report.contains("PASS"), "{report}");
    run(&place, "$PERFSEC run --list >/dev/null").succeeds();
}

#[test]
fn no_file_takes_the_place_of_a_closed_descriptor() {
    let place = Place::new();
    place.file("cut.jsonl", &RECORD[..RECORD.len() / 2]);
    // It warns on standard error while the report is open.
    run(&place, "$PERFSEC report cut.jsonl --out report.txt <&- 2>&-").succeeds();
    let report = fs::read_to_string(place.path().join("report.txt")).expect("the report");
    assert!(report.contains("the run did not end"), "{report}");
    assert!(!report.contains("warning:"), "{report}");
}

#[test]
fn a_limit_of_the_file_size_is_reported_like_a_full_disk() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let limit = "prlimit --fsize=1000 $PERFSEC";
    let ended = run(&place, &format!("{limit} report run.jsonl --out report.txt"));
    ended.fails(5, "cannot write report.txt: File too large");
    let ended = run(&place, &format!("{limit} report run.jsonl >report.txt"));
    ended.fails(5, "cannot write to standard output: File too large");
}

/// A program that passes for QEMU until something boots.
fn fake_qemu(place: &Place) -> String {
    let path = place.file("qemu", "#!/bin/sh\necho QEMU emulator version 0\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our file");
    path
}

#[test]
fn a_parent_that_ignores_sigchld_is_no_obstacle() {
    let place = Place::new();
    let qemu = fake_qemu(&place);
    let run = |before: &str| {
        let script = format!("{before} $PERFSEC run --kernel absent --qemu {qemu} --policy absent");
        run(&place, &script)
    };
    // It has asked the program for its version, and goes on to the policy.
    run("").fails(2, "find a policy");
    run("env --ignore-signal=CHLD").fails(2, "find a policy");
    run("env --block-signal=CHLD").fails(2, "find a policy");
}

/// Starts perfsec reading a pipe that stays open, and waits until it reads.
fn reading(place: &Place, script: &str) -> (Child, File) {
    let pipe = place.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let child = place.command(&[]).get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {script}")]).current_dir(place.path());
    command.env("PERFSEC", child).stderr(Stdio::piped());
    let child = command.spawn().expect("a shell");
    // To open it waits for the reader.
    let mut writer = File::options().write(true).open(pipe).expect("the pipe");
    writer.write_all(b"\n").expect("a reader");
    (child, writer)
}

#[rstest]
#[case(Signal::SIGINT, "", 130)]
#[case(Signal::SIGTERM, "", 143)]
#[case(Signal::SIGHUP, "", 129)]
#[case::blocked(Signal::SIGTERM, "env --block-signal=TERM", 143)]
fn a_signal_ends_a_command_that_waits_for_input(
    #[case] signal: Signal,
    #[case] before: &str,
    #[case] code: i32,
) {
    let place = Place::new();
    let (child, writer) = reading(&place, &format!("{before} $PERFSEC known --known pipe"));
    assert_eq!(ended_by(child, signal), Some(code));
    drop(writer);
}

/// The exit code after a signal; `None` if the signal itself ended it.
fn ended_by(mut child: Child, signal: Signal) -> Option<i32> {
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, signal).expect("it runs");
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            assert_eq!(status.signal(), None);
            return status.code();
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nohup_lets_a_command_outlive_its_terminal() {
    let place = Place::new();
    let (mut child, writer) =
        reading(&place, "env --ignore-signal=HUP $PERFSEC known --known pipe");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).expect("it runs");
    drop(writer);
    let mut said = String::new();
    let stderr = child.stderr.take();
    stderr.expect("it is piped").read_to_string(&mut said).expect("text");
    // An empty list is fine.
    assert_eq!(child.wait().expect("our child").code(), Some(0), "{said}");
}

#[test]
fn a_signal_stops_the_unpacking_of_an_archive() {
    let place = Place::new();
    // Half a gigabyte of zeros takes longer than it takes to send a signal.
    let tar = "mkdir linux && truncate -s 512M linux/Makefile && \
               tar -cf - linux | gzip -1 > t.tar.gz && rm -r linux";
    run(&place, tar).succeeds();
    let mut command = place.command(&["kernel", "build", "t.tar.gz"]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("perfsec");
    let stderr = child.stderr.as_mut().expect("it is piped");
    let mut said = [0; 9];
    stderr.read_exact(&mut said).expect("a line");
    assert_eq!(&said, b"unpacking");
    assert_eq!(ended_by(child, Signal::SIGTERM), Some(143));
}

#[test]
fn a_deep_archive_is_refused_at_once() {
    let place = Place::new();
    let deep = vec!["a"; 500].join("/");
    let tar = format!("mkdir -p linux/{deep} && tar -cf t.tar linux && rm -r linux");
    run(&place, &tar).succeeds();
    let start = Instant::now();
    run(&place, "$PERFSEC kernel build t.tar").fails(2, "too long or too deep");
    assert!(start.elapsed() < Duration::from_secs(20));
}
