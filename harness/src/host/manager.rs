//! Package managers.

use std::fmt;
use std::path::Path;

use super::path::find_program;

/// A package manager that perfsec can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageManager {
    /// Debian and its derivatives.
    Apt,
    /// Fedora and RHEL.
    Dnf,
    /// Arch.
    Pacman,
    /// SUSE.
    Zypper,
}

impl PackageManager {
    /// Detects the host's package manager. Distributions also package each other's, so a
    /// derivative of Debian is recognised by `/etc/debian_version`, which all of them have.
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

    /// The command that installs packages without asking.
    pub(super) fn install(self, packages: &[&str]) -> Vec<String> {
        let start: &[&str] = match self {
            Self::Apt => &["apt-get", "install", "--yes", "--no-install-recommends"],
            Self::Dnf => &["dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"],
            Self::Pacman => &["pacman", "--sync", "--needed", "--noconfirm"],
            Self::Zypper => &["zypper", "--non-interactive", "install", "--no-recommends"],
        };
        start.iter().chain(packages).map(|word| (*word).to_owned()).collect()
    }

    /// The command that fetches package lists, which only apt needs: the others fetch theirs
    /// themselves.
    pub(super) fn update(self) -> Option<Vec<String>> {
        (self == Self::Apt).then(|| vec!["apt-get".to_owned(), "update".to_owned()])
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program())
    }
}
