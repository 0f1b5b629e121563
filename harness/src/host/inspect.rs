//! Inspects the host without changing it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access};
use object::Endianness;
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{FileHeader, ProgramHeader};

use super::manager::PackageManager;
use super::os_release::OsRelease;
use super::path::{find_header, find_program};
use super::tool::{HostTool, Importance, Need, Probe, TOOLS};
use crate::foreign;

/// The result of an inspection of the host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The operating system.
    pub os: OsRelease,
    /// The package manager, if perfsec knows it.
    pub manager: Option<PackageManager>,
    /// One for each inspected tool of [`TOOLS`].
    pub findings: Vec<ToolFinding>,
    /// This user's access to KVM.
    pub kvm: Kvm,
}

/// A tool with its state on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFinding {
    /// An entry of [`TOOLS`].
    pub tool: &'static HostTool,
    /// Its state.
    pub state: ToolState,
}

/// The state of a tool on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolState {
    /// Installed and usable.
    Found {
        /// Path of the program or file.
        path: PathBuf,
        /// The first line of its version output, if it has any.
        version: Option<String>,
    },
    /// Not installed.
    Missing,
    /// Installed, but this user may not execute it.
    NotExecutable {
        /// Path of the program.
        path: PathBuf,
    },
    /// Installed, but not in the form that perfsec needs.
    Unsuitable {
        /// Path of the program.
        path: PathBuf,
        /// A sentence about it.
        reason: &'static str,
    },
}

/// This user's access to `/dev/kvm`. Only an attempt shows if KVM works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// No such device; QEMU emulates.
    Absent,
    /// The device exists, but this user, who is not in its group, may not open it.
    NotPermitted,
    /// This user may open it.
    Permitted,
}

impl Host {
    /// Inspects this host. Starts each tool once that prints a version.
    pub fn inspect() -> Self {
        Self::with_findings(
            TOOLS.iter().map(|tool| ToolFinding { tool, state: state(tool.probe, tool.name) }),
        )
    }

    /// Searches for the tools that these needs require, and starts none of them.
    pub(super) fn locate(needs: &[Need]) -> Self {
        let tools = TOOLS.iter().filter(|tool| needs.contains(&tool.need));
        Self::with_findings(tools.filter(|tool| tool.importance == Importance::Needed).map(
            |tool| {
                let probe = match tool.probe {
                    Probe::Program(_) => Probe::Program(None),
                    other => other,
                };
                ToolFinding { tool, state: state(probe, tool.name) }
            },
        ))
    }

    fn with_findings(findings: impl Iterator<Item = ToolFinding>) -> Self {
        Self {
            os: OsRelease::detect(),
            manager: PackageManager::detect(),
            findings: findings.collect(),
            kvm: kvm(Path::new("/dev/kvm")),
        }
    }

    /// The tools that these needs require and the host lacks.
    pub fn missing(&self, needs: &[Need]) -> impl Iterator<Item = &ToolFinding> {
        self.not_found(needs, Importance::Needed)
    }

    /// The tools that would be useful for these needs and the host lacks.
    pub fn missing_useful(&self, needs: &[Need]) -> impl Iterator<Item = &ToolFinding> {
        self.not_found(needs, Importance::Useful)
    }

    fn not_found(
        &self,
        needs: &[Need],
        importance: Importance,
    ) -> impl Iterator<Item = &ToolFinding> {
        self.findings.iter().filter(move |finding| {
            let tool = finding.tool;
            let found = matches!(finding.state, ToolState::Found { .. });
            needs.contains(&tool.need) && tool.importance == importance && !found
        })
    }
}

fn state(probe: Probe, name: &str) -> ToolState {
    let version_argument = match probe {
        Probe::File(place) => {
            let path = PathBuf::from(place);
            return if path.exists() {
                ToolState::Found { path, version: None }
            } else {
                ToolState::Missing
            };
        }
        Probe::Header(name) => {
            let found = |path| ToolState::Found { path, version: None };
            return find_header(name).map_or(ToolState::Missing, found);
        }
        Probe::Program(argument) => argument,
        Probe::StaticProgram => None,
    };
    let path = match find_program(name) {
        Ok(path) => path,
        Err(Some(path)) => return ToolState::NotExecutable { path },
        Err(None) => return ToolState::Missing,
    };
    if probe == Probe::StaticProgram && !is_static(&path) {
        let reason = "it is linked dynamically and would not start in the guest";
        return ToolState::Unsuitable { path, reason };
    }
    let version = version_argument.and_then(|argument| version(&path, argument));
    ToolState::Found { path, version }
}

/// The first line, not counting empty ones, of a program's version output.
fn version(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program)
        .arg(argument)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// True if a program has no interpreter: it is linked statically.
fn is_static(program: &Path) -> bool {
    let Ok(data) = foreign::read(program, &foreign::PROGRAM) else { return false };
    let Ok(header) = FileHeader64::<Endianness>::parse(data.as_slice()) else { return false };
    let Ok(endian) = header.endian() else { return false };
    header
        .program_headers(endian, data.as_slice())
        .is_ok_and(|segments| segments.iter().all(|segment| segment.p_type(endian) != PT_INTERP))
}

/// Checks permissions with access(2): opening a broken `/dev/kvm` may hang.
fn kvm(device: &Path) -> Kvm {
    if !device.exists() {
        return Kvm::Absent;
    }
    match access(device, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Kvm::Permitted,
        Err(_) => Kvm::NotPermitted,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_is_found_without_being_executed() {
        assert_eq!(state(Probe::File("/no/such/keyring"), "keyring"), ToolState::Missing);
        assert!(matches!(state(Probe::File("/proc/version"), "x"), ToolState::Found { .. }));
    }

    #[test]
    fn a_script_is_not_a_static_program() {
        let dir = TempDir::new().unwrap();
        let script = dir.path().join("busybox");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!is_static(&script));
    }

    #[test]
    fn a_missing_device_is_absent() {
        assert_eq!(kvm(Path::new("/dev/no-such-kvm")), Kvm::Absent);
    }

    #[test]
    fn every_tool_is_inspected() {
        assert_eq!(Host::inspect().findings.len(), TOOLS.len());
    }
}
