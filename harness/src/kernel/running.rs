//! The kernel that a machine runs.

use std::io;

use super::arch::Arch;
use super::config::Config;
use super::image::distribution;
use super::record::{Kernel, Origin};
use super::version::{KernelVersion, VersionError};
use crate::foreign::{self, Files};

/// The running kernel cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum RunningError {
    /// It does not tell its version or its name.
    #[error("read {path}")]
    Read {
        /// The file.
        path: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Its version cannot be understood.
    #[error("understand the version of the kernel")]
    Version(#[from] VersionError),
}

impl Kernel {
    /// The kernel that the machine with these files runs. Its configuration is that of a file that
    /// distributions install beside it; `/proc/config.gz` is the agent's to send.
    ///
    /// # Errors
    ///
    /// If the kernel does not tell its version, or tells an unknown form of it.
    pub(crate) fn running(files: &dyn Files) -> Result<Self, RunningError> {
        let read = |path| {
            let text = files.text(path, &foreign::SYSTEM_FILE);
            let text = text.map_err(|source| RunningError::Read { path, source })?;
            Ok::<_, RunningError>(text.trim().to_owned())
        };
        let banner = read("/proc/version")?;
        let release = read("/proc/sys/kernel/osrelease")?;
        let host = read("/proc/sys/kernel/hostname")?;
        let config = configs(&release).into_iter().find_map(|path| {
            let text = files.text(&path, &foreign::CONFIG).ok()?;
            Some(Config::parse(&text)).filter(|config| *config != Config::default())
        });
        Ok(Self {
            image: None,
            arch: Arch::default(),
            version: KernelVersion::from_banner(&release, &banner)?,
            distribution: distribution(&release, &banner).map(str::to_owned),
            config,
            origin: Origin::Running { host },
            release,
            banner,
            parameters: Vec::new(),
        })
    }
}

/// The places of a kernel's configuration, in the order in which they are tried.
fn configs(release: &str) -> [String; 2] {
    [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::LocalFiles;

    #[test]
    fn the_running_kernel_is_described_by_what_it_tells() {
        let kernel = Kernel::running(&LocalFiles).unwrap();
        assert!(kernel.banner.contains(&kernel.release), "{}", kernel.banner);
        assert_eq!(kernel.identity(), kernel.banner);
        assert!(matches!(kernel.origin, Origin::Running { .. }));
    }
}
