//! Looking at the host, changing nothing.

use std::fs;
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

/// The host as it was found.
#[derive(Clone, Debug)]
pub struct Host {
    /// Which system it runs.
    pub os: OsRelease,
    /// Its package manager, if it is one that perfsec knows.
    pub manager: Option<PackageManager>,
    /// Each of [`TOOLS`].
    pub findings: Vec<ToolFinding>,
    /// Whether this user may use KVM.
    pub kvm: Kvm,
}

/// What was found of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFinding {
    /// Which one.
    pub tool: &'static HostTool,
    /// What was found.
    pub state: ToolState,
}

/// What was found in the place of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolState {
    /// It is there and of use.
    Found {
        /// Where.
        path: PathBuf,
        /// What it calls its version, if it tells.
        version: Option<String>,
    },
    /// It is not there.
    Missing,
    /// It is there, but this user may not execute it.
    NotExecutable {
        /// Where.
        path: PathBuf,
    },
    /// It is there, but of another kind than perfsec needs.
    Unsuitable {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What this user may expect of `/dev/kvm`. Whether KVM works is only known when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// There is none; QEMU emulates.
    Absent,
    /// It is there and may not be opened: the user is not in its group.
    NotPermitted,
    /// It may be opened.
    Permitted,
}

impl Host {
    /// Looks at this host. Each tool that tells its version is started once.
    pub fn inspect() -> Self {
        Self::of(TOOLS.iter().map(|tool| ToolFinding { tool, state: state(tool.probe, tool.name) }))
    }

    /// Looks for what these needs cannot do without, and starts nothing.
    pub(super) fn glance(needs: &[Need]) -> Self {
        let tools = TOOLS.iter().filter(|tool| needs.contains(&tool.need));
        Self::of(tools.filter(|tool| tool.importance == Importance::Needed).map(|tool| {
            let probe = match tool.probe {
                Probe::Program(_) => Probe::Program(None),
                other => other,
            };
            ToolFinding { tool, state: state(probe, tool.name) }
        }))
    }

    fn of(findings: impl Iterator<Item = ToolFinding>) -> Self {
        Self {
            os: OsRelease::detect(),
            manager: PackageManager::detect(),
            findings: findings.collect(),
            kvm: kvm(Path::new("/dev/kvm")),
        }
    }

    /// The findings that stand in the way of these needs.
    pub fn lacking(&self, needs: &[Need]) -> impl Iterator<Item = &ToolFinding> {
        self.without(needs, Importance::Needed)
    }

    /// What these needs would be better with.
    pub fn wishing(&self, needs: &[Need]) -> impl Iterator<Item = &ToolFinding> {
        self.without(needs, Importance::Useful)
    }

    fn without(
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

/// The first line with words that a program prints when it is asked for its version.
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

/// Whether a program names no loader to be started with.
fn is_static(program: &Path) -> bool {
    let Ok(data) = fs::read(program) else { return false };
    let Ok(header) = FileHeader64::<Endianness>::parse(data.as_slice()) else { return false };
    let Ok(endian) = header.endian() else { return false };
    header
        .program_headers(endian, data.as_slice())
        .is_ok_and(|segments| segments.iter().all(|segment| segment.p_type(endian) != PT_INTERP))
}

/// Asks for the rights and does not open it: a KVM that does not work may keep the caller.
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
    fn a_script_is_no_static_program() {
        let dir = TempDir::new().unwrap();
        let script = dir.path().join("busybox");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!is_static(&script));
    }

    #[test]
    fn a_device_that_is_not_there_is_absent() {
        assert_eq!(kvm(Path::new("/dev/no-such-kvm")), Kvm::Absent);
    }

    #[test]
    fn every_tool_is_looked_for() {
        assert_eq!(Host::inspect().findings.len(), TOOLS.len());
    }
}
