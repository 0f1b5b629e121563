//! The package managers of hosts.

use std::fmt;
use std::path::Path;

use super::path::find_program;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian and what is derived from it.
    Apt,
    /// Fedora and RHEL.
    Dnf,
    /// Arch.
    Pacman,
    /// SUSE.
    Zypper,
}

impl PackageManager {
    /// Which of them is this host's own. Distributions package each other's, so that of a system
    /// derived from Debian is known by the file that all of those have.
    pub fn detect() -> Option<Self> {
        let present = |manager: &Self| find_program(manager.program()).is_ok();
        if Path::new("/etc/debian_version").exists() {
            return Some(Self::Apt).filter(present);
        }
        [Self::Dnf, Self::Pacman, Self::Zypper, Self::Apt].into_iter().find(present)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Zypper => "zypper",
        }
    }

    /// The command that installs packages without a question.
    pub(super) fn install(self, packages: &[&str]) -> Vec<String> {
        let start: &[&str] = match self {
            Self::Apt => &["apt-get", "install", "--yes", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"],
            Self::Pacman => &["pacman", "--sync", "--needed", "--noconfirm"],
            Self::Zypper => &["zypper", "--non-interactive", "install", "--no-recommends"],
        };
        start.iter().chain(packages).map(|word| (*word).to_owned()).collect()
    }

    /// The command that must come first when the host has no package lists. The others fetch
    /// theirs when they need them.
    pub(super) fn update(self) -> Option<Vec<String>> {
        (self == Self::Apt).then(|| vec!["apt-get".to_owned(), "update".to_owned()])
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}
