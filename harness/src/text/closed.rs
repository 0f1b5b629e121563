//! Notices a standard output that was closed when perfsec started (`>&-`).

use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`, because Rust's runtime opens `/dev/null` in the place of closed descriptors:
/// later, this is the same as `>/dev/null`.
#[ctor::ctor(unsafe)]
#[expect(clippy::disallowed_methods, reason = "asks, and does not print")]
fn look() {
    let flags = fcntl(std::io::stdout(), FcntlArg::F_GETFD);
    CLOSED.store(flags == Err(Errno::EBADF), Ordering::Relaxed);
}

/// True if standard output was closed, so that what is written there is lost.
pub(super) fn closed_stdout() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
