//! Runs programs in perfsec's own domain.

use std::fs;
use std::path::Path;

use crate::foreign;

/// The context of this thread, and that of the next program which it or its new child executes:
/// a child inherits it (`selinux_cred_prepare()`).
const CURRENT: &str = "/proc/thread-self/attr/current";
const EXEC: &str = "/proc/thread-self/attr/exec";

/// Calls `start`, which starts a program that shall not leave perfsec's domain. A distribution's
/// policy has a domain for `semodule`, which may change the machine's store and knows nothing of
/// perfsec's files.
///
/// Without SELinux, or without the right to choose, it is as without this function.
pub(super) fn keep<T>(start: impl FnOnce() -> T) -> T {
    let has_selinux = Path::new("/sys/fs/selinux/enforce").exists();
    let own = has_selinux.then(|| foreign::read_text(Path::new(CURRENT), &foreign::SYSTEM_FILE));
    let chosen = match own {
        Some(Ok(own)) => fs::write(EXEC, own.trim_end_matches('\0')).is_ok(),
        _ => false,
    };
    let started = start();
    if chosen {
        // Anything that begins with a newline means none (`selinux_lsm_setattr()`).
        let _ = fs::write(EXEC, "\n");
    }
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_with_and_without_selinux() {
        let started = keep(|| std::process::Command::new("/bin/true").status().unwrap());
        assert!(started.success());
    }
}
