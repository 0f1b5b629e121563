//! Programs that take long: what they say as it comes, and an end when the user wants one.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::interrupt::Interrupt;

/// Runs a program to its end, with nothing to read, and passes on each line that it writes, to standard
/// output or standard error. When the user interrupts, it and all that it started get SIGTERM, upon which
/// `make` and `git` clean up.
///
/// # Errors
///
/// When it cannot be started, or what it says cannot be read.
pub(crate) fn follow(
    mut command: Command,
    interrupt: &Interrupt,
    said: &mut dyn FnMut(&str),
) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    // A group of its own: the terminal's SIGINT reaches perfsec alone, which passes it on in order.
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn()?;
    // It holds this side's copies of the pipe.
    drop(command);
    let pid =
        Pid::from_raw(i32::try_from(child.id()).expect("process numbers are positive and small"));
    let group = Arc::new(Mutex::new(Some(pid)));
    interrupt.tell({
        let group = Arc::clone(&group);
        move || {
            if let Ok(group) = group.lock()
                && let Some(group) = *group
            {
                // It may be gone already.
                let _ = killpg(group, Signal::SIGTERM);
            }
        }
    });
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    let mut read = || -> io::Result<()> {
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            said(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    };
    let read = read();
    // Waited for, but not yet reaped: until then its number is nobody else's.
    let ended = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    if let Ok(mut group) = group.lock() {
        *group = None;
    }
    let status = child.wait();
    read.and(ended.map_err(io::Error::from)).and(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_says_is_passed_on_line_by_line() {
        let mut lines = Vec::new();
        let status = follow(shell("echo a; echo b >&2; exit 3"), &Interrupt::default(), &mut |l| {
            lines.push(l.to_owned());
        });
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn an_interrupt_ends_a_program_and_what_it_started() {
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        // `sleep` holds the pipe: were it left, this would never end.
        let status =
            follow(shell("echo up; sleep 1000 & wait"), &interrupt, &mut |_| raised.raise());
        assert!(!status.unwrap().success());
    }

    #[test]
    fn a_program_that_starts_after_the_interrupt_is_ended_too() {
        let interrupt = Interrupt::default();
        interrupt.raise();
        assert!(!follow(shell("exec sleep 1000"), &interrupt, &mut |_| {}).unwrap().success());
    }
}
