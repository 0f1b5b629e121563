//! Checks the host for required tools before slow work begins.

use super::inspect::{Host, ToolFinding, ToolState};
use super::tool::Need;

/// Tools that the host lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find {}: {}", .tools.join(", "), advice(.command.as_deref()))]
pub struct MissingTools {
    /// Each tool, with its purpose or what is wrong with it.
    pub tools: Vec<String>,
    /// The command that installs them, if they come in packages.
    pub command: Option<String>,
}

fn advice(command: Option<&str>) -> String {
    match command {
        Some(command) => {
            format!("this host does not have it; type this and try again:\n  {command}")
        }
        None => "this host does not have it; install it by hand".to_owned(),
    }
}

/// Checks that this host has the tools for these needs. It only searches for programs and starts
/// none, so it is cheap enough for every build.
///
/// # Errors
///
/// A tool is missing.
pub fn require(needs: &[Need]) -> Result<(), MissingTools> {
    let root = nix::unistd::geteuid().is_root();
    Host::locate(needs).require(needs, root)
}

impl Host {
    fn require(&self, needs: &[Need], root: bool) -> Result<(), MissingTools> {
        let tools: Vec<String> = self.missing(needs).map(describe).collect();
        if tools.is_empty() {
            return Ok(());
        }
        Err(MissingTools { tools, command: self.missing_command(needs, root) })
    }
}

fn describe(finding: &ToolFinding) -> String {
    let tool = finding.tool;
    match &finding.state {
        ToolState::NotExecutable { path } => {
            format!("{} ({} is not executable for you)", tool.name, path.display())
        }
        ToolState::Unsuitable { path, reason } => {
            format!("{} ({}: {reason})", tool.name, path.display())
        }
        ToolState::Missing | ToolState::Found { .. } => {
            format!("{} (which {})", tool.name, tool.why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Importance, Kvm, OsRelease, PackageManager, TOOLS};

    fn host(lacks: &[&str], manager: Option<PackageManager>) -> Host {
        let state = |name: &str| match lacks.contains(&name) {
            true => ToolState::Missing,
            false => ToolState::Found { path: "/usr/bin/x".into(), version: None },
        };
        let findings =
            TOOLS.iter().map(|tool| ToolFinding { tool, state: state(tool.name) }).collect();
        Host { os: OsRelease::default(), manager, findings, kvm: Kvm::Absent }
    }

    #[test]
    fn the_error_has_the_command_that_installs_the_missing_tools() {
        let host = host(&["flex", "gelf.h", "clang"], Some(PackageManager::Dnf));
        let missing = host.require(&[Need::KernelBuild, Need::Gcc], false).unwrap_err();
        let text = missing.to_string();
        assert!(text.starts_with("find flex (which generates "), "{text}");
        let command = "sudo dnf install --assumeyes --setopt=install_weak_deps=False \
                       flex elfutils-libelf-devel";
        assert_eq!(missing.command.as_deref(), Some(command));
        assert!(text.ends_with(&format!("\n  {command}")), "{text}");
    }

    #[test]
    fn only_a_policy_of_modules_needs_semodule() {
        let host = host(&["semodule"], Some(PackageManager::Apt));
        assert_eq!(host.require(&[Need::Run, Need::DebianKernels], true), Ok(()));
        let missing = host.require(&[Need::Policies], true).unwrap_err().to_string();
        assert!(missing.starts_with("find semodule (which builds policies"), "{missing}");
        assert!(missing.ends_with(" policycoreutils"), "{missing}");
    }

    #[test]
    fn only_the_tools_of_the_chosen_compiler_are_required() {
        let host = host(&["clang", "ld.lld"], Some(PackageManager::Apt));
        assert_eq!(host.require(&[Need::KernelBuild, Need::Gcc], true), Ok(()));
        let missing = host.require(&[Need::KernelBuild, Need::Llvm], true).unwrap_err();
        assert_eq!(missing.tools.len(), 2);
    }

    #[test]
    fn useful_tools_are_not_required() {
        let useful: Vec<&str> = TOOLS
            .iter()
            .filter(|tool| tool.importance == Importance::Useful)
            .map(|tool| tool.name)
            .collect();
        assert!(useful.contains(&"ccache"));
        assert_eq!(host(&useful, None).require(&[Need::KernelBuild, Need::Gcc], true), Ok(()));
    }

    #[test]
    fn without_a_known_package_manager_the_user_installs_by_hand() {
        let missing = host(&["bc"], None).require(&[Need::KernelBuild], true).unwrap_err();
        assert!(missing.to_string().ends_with("install it by hand"), "{missing}");
    }
}
