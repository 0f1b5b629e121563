//! Waiting for a subject: it stops, ends, or runs out of time, and nobody polls.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{Doing, Error, Result};

/// Tells when a child changes state.
pub(crate) struct Children {
    signals: SignalFd,
}

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stopped,
    Exited(i32),
    Killed(Signal),
    /// Nothing, within the time given.
    Overdue,
}

/// A subject that is killed when it is no longer wanted.
pub(crate) struct Child {
    pub(crate) pid: Pid,
    alive: bool,
}

impl Children {
    /// Blocks SIGCHLD, which is read from a descriptor instead.
    pub(crate) fn new() -> Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).doing("block SIGCHLD")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&set, flags).doing("open a signalfd")?;
        Ok(Self { signals })
    }

    /// Waits until `child` stops, which it must do before its first step.
    pub(crate) fn wait_for_stop(&self, child: &mut Child, limit: Duration) -> Result<()> {
        match self.wait(child, limit)? {
            Change::Stopped => Ok(()),
            change => Err(Error::new("start the subject", format_args!("{change:?}"))),
        }
    }

    /// Forgets what subjects left behind: process 1 inherits it.
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

impl Child {
    pub(crate) fn new(pid: Pid) -> Self {
        Self { pid, alive: true }
    }

    pub(crate) fn resume(&self) -> Result<()> {
        kill(self.pid, Signal::SIGCONT).doing("let the subject continue")
    }

    /// Kills it and waits until it is gone, so that nothing of it reaches the next cell.
    pub(crate) fn end(&mut self) {
        if self.alive {
            self.alive = false;
            // It may have ended by itself meanwhile.
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
