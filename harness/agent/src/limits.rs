//! Room for more file descriptors than a process usually may have.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use crate::error::{ErrorContext, Result};

/// The agent's limits of open files before it raised them; dropping this restores them.
pub(crate) struct Room {
    soft: rlim_t,
    hard: rlim_t,
}

impl Room {
    /// Raises the limit by this number of descriptors.
    pub(crate) fn take(descriptors: u32) -> Result<Self> {
        let doing = "raise the limit of open files";
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).doing(doing)?;
        let raised = soft.saturating_add(descriptors.into());
        setrlimit(Resource::RLIMIT_NOFILE, raised, hard.max(raised)).doing(doing)?;
        Ok(Self { soft, hard })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Lowering a limit needs no privilege.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, self.soft, self.hard);
    }
}
