//! What must be on the host before something long begins.

use super::inspect::{Host, ToolFinding, ToolState};
use super::tool::Need;
use crate::printable::printable_line;

/// The host lacks what is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find {}: {}", .tools.join(", "), advice(.command.as_deref()))]
pub struct MissingTools {
    /// Each tool, with what it is for or what is wrong with it.
    pub tools: Vec<String>,
    /// What to type, if packages help.
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

/// Tells whether this host has what is needed. Programs are looked for and not started, so it can
/// be asked before every build.
///
/// # Errors
///
/// Something is missing.
pub fn require(needs: &[Need]) -> Result<(), MissingTools> {
    let root = nix::unistd::geteuid().is_root();
    Host::glance(needs).demanded(needs, root)
}

impl Host {
    fn demanded(&self, needs: &[Need], root: bool) -> Result<(), MissingTools> {
        let tools: Vec<String> = self.lacking(needs).map(told).collect();
        if tools.is_empty() {
            return Ok(());
        }
        Err(MissingTools { tools, command: self.missing_command(needs, root) })
    }
}

fn told(finding: &ToolFinding) -> String {
    let tool = finding.tool;
    let place = |path: &std::path::Path| printable_line(&path.display().to_string());
    match &finding.state {
        ToolState::NotExecutable { path } => {
            format!("{} ({} is not executable for you)", tool.name, place(path))
        }
        ToolState::Unsuitable { path, reason } => {
            format!("{} ({}: {reason})", tool.name, place(path))
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
    fn what_is_missing_is_told_with_what_to_type() {
        let host = host(&["flex", "gelf.h", "clang"], Some(PackageManager::Dnf));
        let missing = host.demanded(&[Need::KernelBuild, Need::Gcc], false).unwrap_err();
        let told = missing.to_string();
        assert!(told.starts_with("find flex (which makes "), "{told}");
        let command = "sudo dnf install --assumeyes --setopt=install_weak_deps=False \
                       flex elfutils-libelf-devel";
        assert_eq!(missing.command.as_deref(), Some(command));
        assert!(told.ends_with(&format!("\n  {command}")), "{told}");
    }

    #[test]
    fn either_compiler_is_demanded_alone() {
        let host = host(&["clang", "ld.lld"], Some(PackageManager::Apt));
        assert_eq!(host.demanded(&[Need::KernelBuild, Need::Gcc], true), Ok(()));
        let missing = host.demanded(&[Need::KernelBuild, Need::Llvm], true).unwrap_err();
        assert_eq!(missing.tools.len(), 2);
    }

    #[test]
    fn what_is_only_useful_is_not_demanded() {
        let useful: Vec<&str> = TOOLS
            .iter()
            .filter(|tool| tool.importance == Importance::Useful)
            .map(|tool| tool.name)
            .collect();
        assert!(useful.contains(&"ccache"));
        assert_eq!(host(&useful, None).demanded(&[Need::KernelBuild, Need::Gcc], true), Ok(()));
    }

    #[test]
    fn where_no_package_manager_is_known_the_tools_are_named() {
        let told = host(&["bc"], None).demanded(&[Need::KernelBuild], true).unwrap_err();
        assert!(told.to_string().ends_with("install it by hand"), "{told}");
    }
}
