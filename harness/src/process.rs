//! Runs slow programs: passes their output on line by line, and stops them on an interrupt.

use std::io::{self, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::foreign::{self, Line};
use crate::interrupt::Interrupt;

/// Runs a program and calls `on_line` with each line that it writes to standard output or standard
/// error; a line past the limit is cut. `stdin` is null, or the lock of what the program works on. On an interrupt the program
/// and all its children get SIGTERM, on which `make` and `git` clean up.
///
/// # Errors
///
/// The program cannot be started, or its output cannot be read.
pub(crate) fn follow(
    mut command: Command,
    stdin: Stdio,
    interrupt: &Interrupt,
    on_line: &mut dyn FnMut(&str),
) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut running = ChildGroup::start(command.stdin(stdin), interrupt)?;
    // It holds our copies of the pipe's write end.
    drop(command);
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    let mut read = || -> io::Result<()> {
        loop {
            match foreign::read_line(&mut lines, &mut line, foreign::OUTPUT_LINE.length())? {
                Line::End => return Ok(()),
                Line::Whole => {}
                Line::Long => foreign::skip_line(&mut lines)?,
            }
            on_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        }
    };
    let read = read();
    read.and(running.wait())
}

/// Runs a program with little output and returns all of it, standard output and standard error
/// separately.
///
/// # Errors
///
/// See [`follow`].
pub(crate) fn output(
    mut command: Command,
    stdin: Stdio,
    interrupt: &Interrupt,
) -> io::Result<Output> {
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = ChildGroup::start(&mut command, interrupt)?;
    let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
    let (stdout, stderr) = thread::scope(|scope| {
        let err = scope.spawn(|| read_all(err));
        (read_all(out), err.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let status = running.wait()?;
    Ok(Output { status, stdout: stdout?, stderr: stderr? })
}

/// The end of a program whose output was read as it came.
pub(crate) struct Streamed<T> {
    pub(crate) status: ExitStatus,
    /// The value of the reader.
    pub(crate) value: T,
    pub(crate) stderr: String,
}

/// Runs a program and passes its standard output to `read`. When that returns, the pipe is closed.
///
/// # Errors
///
/// See [`follow`].
pub(crate) fn stream<T>(
    mut command: Command,
    interrupt: &Interrupt,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<Streamed<T>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = ChildGroup::start(&mut command, interrupt)?;
    let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
    let (value, stderr) = thread::scope(|scope| {
        let err = scope.spawn(|| read_all(err));
        let mut out = out.ok_or_else(|| io::Error::other("the program has no output"))?;
        let value = read(&mut out);
        drop(out);
        let err = err.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, io::Error>((value, err))
    })?;
    let status = running.wait()?;
    Ok(Streamed { status, value, stderr: String::from_utf8_lossy(&stderr?).into_owned() })
}

fn read_all(stream: Option<impl Read>) -> io::Result<Vec<u8>> {
    stream.map_or_else(|| Ok(Vec::new()), |stream| foreign::read_all(stream, &foreign::OUTPUT))
}

/// A child in a new process group, which gets SIGTERM on an interrupt.
struct ChildGroup {
    child: Child,
    pid: Pid,
    /// `None` once the child has exited, because its number can be reused.
    group: Arc<Mutex<Option<Pid>>>,
}

impl ChildGroup {
    fn start(command: &mut Command, interrupt: &Interrupt) -> io::Result<Self> {
        // In a new group: the terminal's SIGINT reaches only perfsec, which then stops its
        // children in order.
        let child = command.process_group(0).spawn()?;
        let number = i32::try_from(child.id()).expect("pid_t is an i32");
        let pid = Pid::from_raw(number);
        let group = Arc::new(Mutex::new(Some(pid)));
        interrupt.on_raise({
            let group = Arc::clone(&group);
            move || {
                if let Ok(group) = group.lock()
                    && let Some(group) = *group
                {
                    // Fails if the group is gone already.
                    let _ = killpg(group, Signal::SIGTERM);
                }
            }
        });
        Ok(Self { child, pid, group })
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        // Wait without reaping: the number cannot be reused before `child.wait()`.
        let ended = waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        if let Ok(mut group) = self.group.lock() {
            *group = None;
        }
        let status = self.child.wait();
        ended.map_err(io::Error::from).and(status)
    }
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
    fn the_output_of_a_program_is_passed_on_line_by_line() {
        let mut lines = Vec::new();
        let status = follow(
            shell("echo a; echo b >&2; exit 3"),
            Stdio::null(),
            &Interrupt::default(),
            &mut |l| {
                lines.push(l.to_owned());
            },
        );
        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn an_interrupt_ends_a_program_and_its_children() {
        let interrupt = Interrupt::default();
        let raised = interrupt.clone();
        // `sleep` holds the pipe open: this would hang if it survived.
        let status =
            follow(shell("echo up; sleep 1000 & wait"), Stdio::null(), &interrupt, &mut |_| {
                raised.raise()
            });
        assert!(!status.unwrap().success());
    }

    #[test]
    fn standard_output_and_standard_error_are_separate() {
        let output =
            output(shell("echo a; echo b >&2"), Stdio::null(), &Interrupt::default()).unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"a\n"[..], &b"b\n"[..]));
    }

    #[test]
    fn a_program_started_after_the_interrupt_is_ended_too() {
        let interrupt = Interrupt::default();
        interrupt.raise();
        assert!(
            !follow(shell("exec sleep 1000"), Stdio::null(), &interrupt, &mut |_| {})
                .unwrap()
                .success()
        );
    }
}
