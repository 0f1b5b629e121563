//! The code that runs between fork and exec: the one place that the compiler cannot check.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

/// Makes the child die when the *thread* that spawns it ends, so the caller must spawn it from a
/// thread that outlives it; and passes `inherited` to it under the same numbers.
///
/// Dropping `command` closes this process's copies. That must happen before anyone waits for an
/// end of file from the child.
#[expect(unsafe_code, reason = "Command::pre_exec runs its closure in a forked child")]
pub(crate) fn tie_to_this_thread(command: &mut Command, inherited: Vec<OwnedFd>) {
    let parent = getpid();
    let before_exec = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // If the parent died between fork and prctl, no signal ever comes.
        if getppid() != parent {
            return Err(io::Error::from(nix::errno::Errno::ESRCH));
        }
        // Not in the parent: clearing the flag there would leak the descriptor into any program
        // that another thread spawns meanwhile.
        for descriptor in &inherited {
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec, only async-signal-safe functions may be called. The closure
    // makes the system calls prctl, getppid and fcntl and reads memory that was allocated before
    // the fork. Its errors are plain numbers. It takes no lock and allocates nothing.
    unsafe { command.pre_exec(before_exec) };
}
