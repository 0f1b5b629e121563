//! The kernel that this machine runs.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::utsname::uname;

use super::arch::Arch;
use super::config::Config;
use super::image::distribution;
use super::record::{Kernel, Origin};
use super::version::{KernelVersion, VersionError};
use crate::foreign;

/// The running kernel cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// It does not tell its version.
    #[error("read /proc/version")]
    Banner(#[source] io::Error),
    /// Its version cannot be understood.
    #[error("understand the version of the kernel")]
    Version(#[from] VersionError),
}

impl Kernel {
    /// The kernel that this machine runs. Its configuration is that of a file that distributions
    /// install beside it; `/proc/config.gz` is the agent's to send.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell its version, or tells an unknown form of it.
    pub fn running() -> Result<Self, RunningError> {
        let banner = foreign::read_text(Path::new("/proc/version"), &foreign::SYSTEM_FILE);
        let banner = banner.map_err(RunningError::Banner)?.trim().to_owned();
        let names = uname().map_err(|errno| RunningError::Banner(errno.into()))?;
        let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
        let release = text(names.release());
        Ok(Self {
            image: None,
            arch: Arch::default(),
            version: KernelVersion::from_banner(&release, &banner)?,
            distribution: distribution(&release, &banner).map(str::to_owned),
            config: configs(&release).iter().find_map(|path| Config::load(path).ok()),
            origin: Origin::Running { host: text(names.nodename()) },
            release,
            banner,
            parameters: Vec::new(),
        })
    }
}

/// The places of a kernel's configuration, in the order in which they are tried.
fn configs(release: &str) -> [PathBuf; 2] {
    [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")].map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_is_described_by_what_it_tells() {
        let kernel = Kernel::running().unwrap();
        assert!(kernel.banner.contains(&kernel.release), "{}", kernel.banner);
        assert_eq!(kernel.identity(), kernel.banner);
        assert!(matches!(kernel.origin, Origin::Running { .. }));
    }
}
