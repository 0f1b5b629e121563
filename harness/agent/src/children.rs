//! Waits until a subject stops, ends or exceeds its time limit, without polling.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{Error, ErrorContext, Result};

/// Waits for changes of children.
pub(crate) struct Children {
    signals: SignalFd,
}

/// A change of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped,
    Exited(i32),
    Killed(Signal),
    /// No change within the time limit.
    Overdue,
}

/// A subject, which is killed when it is dropped.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    alive: bool,
}

impl Children {
    /// Blocks SIGCHLD and reads it from a descriptor instead.
    pub(crate) fn new() -> Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).doing("block SIGCHLD")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).doing("open a signalfd")?;
        Ok(Self { signals })
    }

    /// Waits until `child` stops; any other change is an error.
    pub(crate) fn wait_for_stop(&self, child: &mut Child, limit: Duration) -> Result<()> {
        match self.wait(child, limit)? {
            Change::Stopped => Ok(()),
            change => Err(Error::new("start the subject", format_args!("{change:?}"))),
        }
    }

    /// Reaps the children of subjects, which process 1 inherits.
    pub(crate) fn reap(&self) {
        while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
            waitpid(None, Some(WaitPidFlag::WNOHANG))
        {}
    }

    /// Waits until `child` stops or ends.
    pub(crate) fn wait(&self, child: &mut Child, limit: Duration) -> Result<Change> {
        let doing = "wait for the subject";
        let deadline = Instant::now() + limit;
        loop {
            let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
            match waitpid(child.pid, Some(flags)) {
                Ok(WaitStatus::Exited(_, code)) => {
                    child.alive = false;
                    return Ok(Change::Exited(code));
                }
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    child.alive = false;
                    return Ok(Change::Killed(signal));
                }
                Ok(WaitStatus::Stopped(..)) => return Ok(Change::Stopped),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut waiting = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut waiting, left) {
                Ok(0) => return Ok(Change::Overdue),
                Ok(_) => {
                    self.signals.read_signal().doing(doing)?;
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
    }
}

/// Continues a task that is stopped. One that has ended is ignored.
pub(crate) fn resume(tid: i32) -> Result<()> {
    match kill(Pid::from_raw(tid), Signal::SIGCONT) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).doing("continue a task of the subject"),
    }
}

/// Kills a task, which the agent inherits and reaps.
pub(crate) fn end(tid: i32) {
    // Fails if it has ended by itself.
    let _ = kill(Pid::from_raw(tid), Signal::SIGKILL);
}

impl Child {
    pub(crate) fn new(pid: Pid) -> Self {
        Self { pid, alive: true }
    }

    pub(crate) fn resume(&self) -> Result<()> {
        kill(self.pid, Signal::SIGCONT).doing("continue the subject")
    }

    /// Kills and reaps the process, so that it has no effect on the next cell.
    pub(crate) fn end(&mut self) {
        if self.alive {
            self.alive = false;
            // Fails if it has ended by itself.
            let _ = kill(self.pid, Signal::SIGKILL);
            while waitpid(self.pid, None) == Err(Errno::EINTR) {}
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
