//! Getting what the host lacks, with its own package manager and nothing else.

use std::io;
use std::process::{Command, ExitStatus};

use super::inspect::{Host, ToolFinding, ToolState};
use super::manager::PackageManager;
use super::tool::Need;

/// Why the host still lacks something.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Only root may install; nothing was changed.
    #[error("install {what}: not running as root; run this and try again:\n  {command}")]
    NotRoot {
        /// What is missing.
        what: String,
        /// What to type.
        command: String,
    },
    /// The host has no package manager that perfsec knows, or it has no such package.
    #[error("install {what}: no package of this host's is known to bring it; install it by hand")]
    NoPackage {
        /// What is missing.
        what: String,
    },
    /// It is there, and of no use.
    #[error("use {what}")]
    Unusable {
        /// Which file, and what is wrong with it.
        what: String,
    },
    /// The package manager could not be started.
    #[error("run {command}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The package manager failed; it has said why on the terminal.
    #[error("run {command}: {status}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

impl Host {
    /// What to type to get what these needs lack and what they would be better with, or nothing
    /// where packages would not help.
    pub fn missing_command(&self, needs: &[Need], root: bool) -> Option<String> {
        let commands = self.commands(needs, lists_are_empty(self.manager))?;
        let prefix = if root { "" } else { "sudo " };
        let lines: Vec<String> =
            commands.iter().map(|words| format!("{prefix}{}", words.join(" "))).collect();
        Some(lines.join(" && "))
    }

    /// Installs what these needs lack and, where a package brings it, what they would be better
    /// with; returns whether there was anything. `say` is told what is installed and why before it
    /// is. Without root nothing is done and the error has the command.
    pub fn install(&self, needs: &[Need], say: &dyn Fn(&str)) -> Result<bool, InstallError> {
        let lacking: Vec<&ToolFinding> = self.lacking(needs).collect();
        let unusable = lacking.iter().find_map(|finding| match &finding.state {
            ToolState::NotExecutable { path } => {
                Some(format!("{}: it is not executable; chmod +x it", path.display()))
            }
            _ => None,
        });
        if let Some(what) = unusable {
            return Err(InstallError::Unusable { what });
        }
        let wishes = self.wishing(needs).filter(|finding| self.package(finding).is_some());
        let wanted: Vec<&ToolFinding> = lacking.iter().copied().chain(wishes).collect();
        if wanted.is_empty() {
            return Ok(false);
        }
        let alone: Vec<&str> = lacking
            .iter()
            .filter(|finding| self.package(finding).is_none())
            .map(|finding| finding.tool.name)
            .collect();
        if !alone.is_empty() {
            return Err(InstallError::NoPackage { what: alone.join(", ") });
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

    /// The commands that install what packages can bring, if they can bring anything.
    fn commands(&self, needs: &[Need], update_first: bool) -> Option<Vec<Vec<String>>> {
        let manager = self.manager?;
        let installable = |finding: &&ToolFinding| {
            matches!(finding.state, ToolState::Missing | ToolState::Unsuitable { .. })
        };
        let named = self
            .lacking(needs)
            .chain(self.wishing(needs))
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
        // Packages must not stop to ask how they are to be configured.
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|source| InstallError::Start { command: command.clone(), source })?;
    if status.success() { Ok(()) } else { Err(InstallError::Failed { command, status }) }
}

/// Whether apt has never fetched its lists, or a container image was built without them.
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
    fn what_is_missing_is_installed_by_the_host_s_own_manager(
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
    fn a_package_is_named_once_and_what_is_only_useful_comes_along(
        #[case] manager: PackageManager,
        #[case] packages: &str,
    ) {
        let host = host(Some(manager), &ToolState::Missing);
        let command = joined(host.commands(&[Need::KernelBuild, Need::Gcc], false)).unwrap();
        let (_, named) = command.split_once(" git make ").unwrap();
        // Called the same by all of them.
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
    fn a_host_that_has_everything_is_left_alone() {
        let found = ToolState::Found { path: "/usr/bin/x".into(), version: None };
        let host = host(Some(PackageManager::Apt), &found);
        assert_eq!(host.commands(&[Need::Run, Need::Shell], true), None);
        let said = |words: &str| panic!("{words}");
        assert!(matches!(host.install(&[Need::Run], &said), Ok(false)));
    }

    #[test]
    fn what_no_package_brings_is_to_be_installed_by_hand() {
        let error = host(None, &ToolState::Missing).install(&[Need::Run], &|_| {}).unwrap_err();
        assert!(error.to_string().contains("qemu-system-x86_64, secilc"), "{error}");
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_named() {
        let state = ToolState::NotExecutable { path: "/opt/qemu".into() };
        let error =
            host(Some(PackageManager::Apt), &state).install(&[Need::Run], &|_| {}).unwrap_err();
        assert!(error.to_string().contains("/opt/qemu"), "{error}");
    }
}
