//! The guardian: starts the worker, waits until it has ended, and puts everything back.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use perfsec_wire::here;

use super::journal;
use super::role::{self, Role};
use crate::error::{Error, ErrorContext, Result};
use crate::orphans::{self, Process, processes};
use crate::service;

/// The name of a socket that only one guardian of a machine can have. It is no file.
const ONLY_ONE: &[u8] = b"perfsec";

/// The longest time that a killed worker takes to close what it has open.
const END_LIMIT: Duration = Duration::from_secs(20);

/// True if a guardian runs on this machine.
pub(super) fn runs() -> bool {
    // The name of an abstract socket has an @ in place of its first byte, which is 0.
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    sockets.lines().any(|line| line.ends_with(" @perfsec"))
}

/// Guards a machine until the worker has ended; returns the exit code.
pub(super) fn guard(directory: &Path) -> u8 {
    let ended = try_guard(directory);
    let left = put_back(directory);
    if left > 0 {
        return here::LEFT_CHANGED;
    }
    match ended {
        Ok(None) => 0,
        Ok(Some(signal)) => here::KILLED_BY + u8::try_from(signal).unwrap_or(0),
        Err(error) => {
            eprintln!("perfsec: {error}");
            here::NOT_STARTED
        }
    }
}

/// Puts back what the journal of a guardian that is gone says; returns the exit code.
pub(super) fn restore(directory: &Path) -> u8 {
    let prepared = service::leave_namespace().and_then(|()| super::worker::mount_missing());
    if let Err(error) = prepared {
        eprintln!("perfsec: {error}");
    }
    end_worker(directory);
    if put_back(directory) > 0 { here::LEFT_CHANGED } else { 0 }
}

/// Starts the worker and waits for its end; returns the signal that ended it, unless perfsec wanted
/// it to end.
fn try_guard(directory: &Path) -> Result<Option<i32>> {
    // Nobody's Ctrl-C is for the guardian: it ends when the worker has.
    let _ = nix::unistd::setsid();
    let mut set = SigSet::all();
    set.remove(Signal::SIGSEGV);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None).doing("block signals")?;
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC).doing("open a signalfd")?;
    let address = SocketAddr::from_abstract_name(ONLY_ONE).doing("name a socket")?;
    let _only = UnixListener::bind_addr(&address)
        .map_err(|_| Error::new("run cells here", "another perfsec runs some on this machine"))?;
    // Heirs of a worker that has died are ended here.
    set_child_subreaper(true).doing("inherit the children of the worker")?;
    // The journal is about files that the machine may not have mounted.
    service::leave_namespace()?;
    super::worker::mount_missing()?;
    let mut worker = Command::new("/proc/self/exe");
    // The name that people see.
    worker.arg0(directory.join(here::AGENT)).arg(Role::WORK).arg(directory);
    let worker = worker.spawn().doing("start the worker")?;
    // For the one that does this work if this process is killed.
    let written = fs::write(role::worker(directory), worker.id().to_string());
    written.doing("write down the worker")?;
    let ended = wait(worker, &signals);
    orphans::end_all();
    close_channel();
    ended
}

/// Waits for the worker. It is killed as soon as the other end of the channel is closed.
fn wait(mut worker: Child, signals: &SignalFd) -> Result<Option<i32>> {
    let doing = "wait for the worker";
    let channel = std::io::stdin();
    loop {
        if let Some(status) = worker.try_wait().doing(doing)? {
            return Ok(status.signal());
        }
        let mut waiting = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            // Only its end: what comes is the worker's to read.
            PollFd::new(channel.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        if waiting[1].revents().is_some_and(|events| !events.is_empty()) {
            let _ = worker.kill();
            return worker.wait().doing(doing).map(|_| None);
        }
        if waiting[0].any().unwrap_or_default() {
            signals.read_signal().doing(doing)?;
        }
    }
}

/// Ends the worker of a guardian that is gone, and its subjects.
fn end_worker(directory: &Path) {
    let Ok(text) = fs::read_to_string(role::worker(directory)) else { return };
    let Ok(pid) = text.parse().map(Pid::from_raw) else { return };
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // Another process may have its number by now.
    let name = directory.as_os_str().as_bytes();
    if !words.split(|byte| *byte == 0).any(|word| word == name) {
        return;
    }
    // It starts no more subjects while they are looked for.
    let _ = kill(pid, Signal::SIGSTOP);
    let mut all = vec![pid];
    loop {
        let is_heir = |it: &Process| all.contains(&it.parent) && !all.contains(&it.pid);
        let heirs: Vec<_> = processes().filter(is_heir).map(|it| it.pid).collect();
        if heirs.is_empty() {
            break;
        }
        all.extend(heirs);
    }
    for pid in &all {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    // Files that they hold open cannot be removed before they have ended.
    let deadline = Instant::now() + END_LIMIT;
    while processes().any(|it| all.contains(&it.pid) && it.state != "Z")
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Closes the guardian's copies of the channel, so that the other end learns of the worker's death.
fn close_channel() {
    let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") else { return };
    let _ = nix::unistd::dup2_stdin(&nothing);
    let _ = nix::unistd::dup2_stdout(&nothing);
}

/// Puts everything back and removes the directory; returns the number of changes that are left.
fn put_back(directory: &Path) -> usize {
    let changes = journal::read(&role::journal(directory)).unwrap_or_else(|error| {
        say(&format!("put the machine back: {error}"));
        Vec::new()
    });
    let mut left = 0;
    for change in changes {
        if let Err(error) = change.restore() {
            left += 1;
            let command = change.command();
            say(&format!("left changed: {change} ({error}); put it back with: {command}"));
        }
    }
    if let Err(error) = fs::remove_dir_all(directory)
        && directory.exists()
    {
        left += 1;
        say(&format!("left behind: {} ({error})", directory.display()));
    }
    left
}

/// Tells the user, and the kernel's log, where it is found if the user's terminal is gone.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "perfsec: {text}");
    if let Ok(mut log) = File::options().write(true).open("/dev/kmsg") {
        let _ = write!(log, "perfsec: {text}");
    }
}
