//! Ends the processes that this one inherits from a parent that has ended.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A process.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// `Z` if it has ended.
    pub(crate) state: String,
    pub(crate) parent: Pid,
}

/// Every process.
pub(crate) fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may contain anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().map(str::to_owned);
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        Some(Process { pid: Pid::from_raw(pid), state, parent: Pid::from_raw(parent) })
    })
}

/// Kills and reaps every child of this process, until it has none.
///
/// A task that a subject makes asks for SIGKILL at its parent's end (`PR_SET_PDEATHSIG`), which is
/// too late if the parent has ended by then: it would stay, with the descriptors it inherited.
pub(crate) fn end_all() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {
                let own = Pid::this();
                for Process { pid, .. } in processes().filter(|it| it.parent == own) {
                    // Fails if it has ended by itself.
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = waitpid(pid, None);
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
