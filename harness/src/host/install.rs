//! Installs missing tools with the host's package manager.

use std::io;
use std::process::{Command, ExitStatus};

use super::inspect::{Host, ToolFinding, ToolState};
use super::manager::PackageManager;
use super::tool::Need;

/// A failure to install missing tools.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Only root may install; nothing was changed.
    #[error("install {what}: not running as root; run this and try again:\n  {command}")]
    NotRoot {
        /// The missing tools.
        what: String,
        /// The command that installs them.
        command: String,
    },
    /// perfsec does not know this host's package manager, or a package for the tool.
    #[error("install {what}: no package for this host is known; install it by hand")]
    NoPackage {
        /// The missing tools.
        what: String,
    },
    /// The tool is installed but unusable.
    #[error("use {what}")]
    Unusable {
        /// The file, and what is wrong with it.
        what: String,
    },
    /// The package manager could not be started.
    #[error("run {command}")]
    Start {
        /// The command line.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The package manager failed; its messages are on the terminal.
    #[error("run {command}: {status}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status.
        status: ExitStatus,
    },
}

impl Host {
    /// The command that installs the missing and the useful tools for these needs; `None` if
    /// no package has any of them.
    pub fn missing_command(&self, needs: &[Need], root: bool) -> Option<String> {
        let commands = self.commands(needs, lists_are_empty(self.manager))?;
        let prefix = if root { "" } else { "sudo " };
        let lines: Vec<String> =
            commands.iter().map(|words| format!("{prefix}{}", words.join(" "))).collect();
        Some(lines.join(" && "))
    }

    /// Installs the missing tools for these needs and, where a package has them, the useful ones.
    /// Returns true if there were any. `say` gets each tool, with its purpose, before it is
    /// installed. Without root nothing is installed and the error has the command.
    pub fn install(&self, needs: &[Need], say: &dyn Fn(&str)) -> Result<bool, InstallError> {
        let missing: Vec<&ToolFinding> = self.missing(needs).collect();
        let unusable = missing.iter().find_map(|finding| match &finding.state {
            ToolState::NotExecutable { path } => {
                Some(format!("{}: it is not executable; chmod +x it", path.display()))
            }
            _ => None,
        });
        if let Some(what) = unusable {
            return Err(InstallError::Unusable { what });
        }
        let useful = self.missing_useful(needs).filter(|finding| self.package(finding).is_some());
        let wanted: Vec<&ToolFinding> = missing.iter().copied().chain(useful).collect();
        if wanted.is_empty() {
            return Ok(false);
        }
        let without_package: Vec<&str> = missing
            .iter()
            .filter(|finding| self.package(finding).is_none())
            .map(|finding| finding.tool.name)
            .collect();
        if !without_package.is_empty() {
            return Err(InstallError::NoPackage { what: without_package.join(", ") });
        }
        let root = nix::unistd::Uid::effective().is_root();
        let names: Vec<&str> = wanted.iter().map(|finding| finding.tool.name).collect();
        let what = names.join(", ");
        if !root {
            let command = self.missing_command(needs, root).unwrap_or_default();
            return Err(InstallError::NotRoot { what, command });
        }
        for finding in &wanted {
            let package = self.package(finding).unwrap_or_default();
            let tool = finding.tool;
            say(&format!("installing {package} for {}, which {}", tool.name, tool.why));
        }
        for words in self.commands(needs, lists_are_empty(self.manager)).unwrap_or_default() {
            say(&words.join(" "));
            run(&words)?;
        }
        Ok(true)
    }

    fn package(&self, finding: &ToolFinding) -> Option<&'static str> {
        finding.tool.package(self.manager?)
    }

    /// The commands that install all missing and useful tools with a package, if there are any.
    fn commands(&self, needs: &[Need], update_first: bool) -> Option<Vec<Vec<String>>> {
        let manager = self.manager?;
        let installable = |finding: &&ToolFinding| {
            matches!(finding.state, ToolState::Missing | ToolState::Unsuitable { .. })
        };
        let named = self
            .missing(needs)
            .chain(self.missing_useful(needs))
            .filter(installable)
            .filter_map(|finding| self.package(finding))
            .flat_map(str::split_whitespace);
        let mut packages: Vec<&str> = Vec::new();
        for package in named {
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
        if packages.is_empty() {
            return None;
        }
        let update = manager.update().filter(|_| update_first);
        Some(update.into_iter().chain([manager.install(&packages)]).collect())
    }
}

fn run(words: &[String]) -> Result<(), InstallError> {
    let command = words.join(" ");
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let status = Command::new(program)
        .args(arguments)
        // Packages must not ask configuration questions.
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|source| InstallError::Start { command: command.clone(), source })?;
    if status.success() { Ok(()) } else { Err(InstallError::Failed { command, status }) }
}

/// True if apt never fetched its lists, or a container image was built without them.
fn lists_are_empty(manager: Option<PackageManager>) -> bool {
    manager == Some(PackageManager::Apt)
        && Command::new("apt-get")
            .args(["indextargets", "--format", "$(FILENAME)", "Created-By: Packages"])
            .output()
            .is_ok_and(|output| output.status.success() && output.stdout.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::host::{Kvm, OsRelease, TOOLS};

    fn host(manager: Option<PackageManager>, state: &ToolState) -> Host {
        let findings =
            TOOLS.iter().map(|tool| ToolFinding { tool, state: state.clone() }).collect();
        Host { os: OsRelease::default(), manager, findings, kvm: Kvm::Absent }
    }

    fn joined(commands: Option<Vec<Vec<String>>>) -> Option<String> {
        commands.map(|all| all.iter().map(|one| one.join(" ")).collect::<Vec<_>>().join(" && "))
    }

    #[rstest]
    #[case(
        PackageManager::Apt,
        "apt-get update && apt-get install --yes --no-install-recommends qemu-system-x86 secilc"
    )]
    #[case(
        PackageManager::Dnf,
        "dnf install --assumeyes --setopt=install_weak_deps=False qemu-system-x86-core secilc"
    )]
    #[case(
        PackageManager::Zypper,
        "zypper --non-interactive install --no-recommends qemu-x86 secilc"
    )]
    #[case(PackageManager::Pacman, "pacman --sync --needed --noconfirm qemu-system-x86")]
    fn missing_tools_are_installed_with_the_host_s_package_manager(
        #[case] manager: PackageManager,
        #[case] command: &str,
    ) {
        let host = host(Some(manager), &ToolState::Missing);
        assert_eq!(joined(host.commands(&[Need::Run], true)).as_deref(), Some(command));
    }

    #[rstest]
    #[case(PackageManager::Apt, "libelf-dev pahole libssl-dev gcc libc6-dev")]
    #[case(PackageManager::Dnf, "elfutils-libelf-devel dwarves openssl-devel gcc")]
    #[case(PackageManager::Pacman, "libelf pahole openssl gcc")]
    #[case(PackageManager::Zypper, "libelf-devel dwarves libopenssl-devel gcc")]
    fn a_package_is_named_once_and_useful_tools_are_included(
        #[case] manager: PackageManager,
        #[case] packages: &str,
    ) {
        let host = host(Some(manager), &ToolState::Missing);
        let command = joined(host.commands(&[Need::KernelBuild, Need::Gcc], false)).unwrap();
        let (_, named) = command.split_once(" git make ").unwrap();
        // These have the same name everywhere.
        let alike = "flex bison bc gawk diffutils gzip findutils ccache lz4 perl binutils";
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(named), sorted(&format!("{alike} {packages}")));
        let llvm = joined(host.commands(&[Need::Llvm], false)).unwrap();
        assert_eq!(llvm.matches("llvm").count(), 1, "{llvm}");
    }

    #[test]
    fn nothing_is_installed_on_a_host_that_has_everything() {
        let found = ToolState::Found { path: "/usr/bin/x".into(), version: None };
        let host = host(Some(PackageManager::Apt), &found);
        assert_eq!(host.commands(&[Need::Run, Need::Shell], true), None);
        let said = |words: &str| panic!("{words}");
        assert!(matches!(host.install(&[Need::Run], &said), Ok(false)));
    }

    #[test]
    fn the_error_without_a_package_names_the_tools() {
        let error = host(None, &ToolState::Missing).install(&[Need::Run], &|_| {}).unwrap_err();
        assert!(error.to_string().contains("qemu-system-x86_64, secilc"), "{error}");
    }

    #[test]
    fn the_error_names_a_file_that_cannot_be_executed() {
        let state = ToolState::NotExecutable { path: "/opt/qemu".into() };
        let error =
            host(Some(PackageManager::Apt), &state).install(&[Need::Run], &|_| {}).unwrap_err();
        assert!(error.to_string().contains("/opt/qemu"), "{error}");
    }
}
