//! QEMU's process.

use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::ConsoleTo;

/// QEMU's process, shared between the thread that may kill it and the one that reaps it.
#[derive(Debug, Default)]
pub(crate) struct Process(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Set while the process id is ours: from the spawn until just before the process is reaped.
    pub(crate) pid: Option<Pid>,
    /// It leads a process group.
    leads: bool,
    pub(crate) killed: bool,
}

impl Process {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A thread that panicked cannot have left these two fields half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the process that was spawned for a machine with this console.
    pub(crate) fn own(&self, pid: Pid, console: ConsoleTo) {
        let mut state = self.lock();
        (state.pid, state.leads) = (Some(pid), !matches!(console, ConsoleTo::Terminal));
    }

    /// Ends it, and the processes that it started: the program may be a script around QEMU. Holds
    /// the lock while it sends the signals, so that the process cannot be reaped and its id reused
    /// in between.
    pub(crate) fn kill(&self) {
        let mut state = self.lock();
        if let Some(pid) = state.pid {
            state.killed = true;
            // The process is not reaped yet, so the signal finds it, if only as a zombie.
            let _ = kill(pid, Signal::SIGKILL);
            if state.leads {
                let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
            }
        }
    }
}
