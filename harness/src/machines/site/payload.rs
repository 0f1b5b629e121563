//! A kernel and what it needs, where the machine can start it from.

use std::fs;
use std::io;
use std::path::Path;

use perfsec_wire::takeover;
use tempfile::TempDir;

use super::command::CommandError;
use super::error::{Phase, SiteError};
use super::machine::SiteMachine;
use super::ssh::{LOOK, TRANSFER};
use super::way::{BootKind, BootWay};

/// The kernel of the machine's own system.
const OWN: &str = "\"/boot/vmlinuz-$(uname -r)\"";

/// A kernel with everything that it needs.
pub(super) struct Payload<'a> {
    pub(super) kernel: KernelFile<'a>,
    pub(super) initramfs: &'a [u8],
    /// The kernel's command line.
    pub(super) parameters: String,
}

/// The image of a kernel.
#[derive(Clone, Copy)]
pub(super) enum KernelFile<'a> {
    /// A bzImage.
    Bytes(&'a [u8]),
    /// The one that the machine's own system runs.
    Own,
}

/// The directory that has a payload.
pub(super) enum Placed {
    /// In the memory of the machine.
    OnMachine(String),
    /// On this host, for as long as this lives.
    OnHost(TempDir),
}

impl Placed {
    /// The directory, if it is on the machine.
    pub(super) fn on_machine(&self) -> Option<&str> {
        match self {
            Self::OnMachine(directory) => Some(directory),
            Self::OnHost(_) => None,
        }
    }

    /// The path of one of its files.
    pub(super) fn file(&self, name: &str) -> String {
        match self {
            Self::OnMachine(directory) => format!("{directory}/{name}"),
            Self::OnHost(directory) => directory.path().join(name).display().to_string(),
        }
    }
}

impl SiteMachine {
    /// Places a kernel where it is started from. Nothing is changed that a reboot would not undo. A
    /// machine that starts it by kexec shows that it can load it.
    pub(super) fn place(&self, payload: &Payload<'_>) -> Result<Placed, SiteError> {
        match self.leased.site.boot {
            BootWay::Kexec | BootWay::Oneshot(_) => self.send(payload).map(Placed::OnMachine),
            BootWay::Netboot(_) => self.keep(payload).map(Placed::OnHost),
        }
    }

    /// Keeps a payload on this host.
    fn keep(&self, payload: &Payload<'_>) -> Result<TempDir, SiteError> {
        let own;
        let kernel = match payload.kernel {
            KernelFile::Bytes(bytes) => bytes,
            KernelFile::Own => {
                let read = self.ssh_bytes(&format!("cat {OWN}"), TRANSFER);
                own = read.map_err(|error| self.leased.error(Phase::Load, error.to_string()))?;
                &own
            }
        };
        let write = |directory: &Path| -> io::Result<()> {
            fs::write(directory.join(takeover::KERNEL), kernel)?;
            fs::write(directory.join(takeover::INITRAMFS), payload.initramfs)
        };
        let written = tempfile::tempdir().and_then(|it| write(it.path()).map(|()| it));
        written.map_err(|error| self.leased.error(Phase::Load, format!("cannot keep it: {error}")))
    }

    /// Sends a payload to a directory in the machine's memory.
    fn send(&self, payload: &Payload<'_>) -> Result<String, SiteError> {
        let fail = |reason: String| self.leased.error(Phase::Load, reason);
        let network = |error: CommandError| self.leased.error(Phase::Network, error.to_string());
        let archive = pack(payload).map_err(|error| fail(format!("cannot pack it: {error}")))?;
        let unpack = "umask 077 && d=$(mktemp -d /dev/shm/perfsec-XXXXXX) && tar -xf - -C \"$d\" \
                      && echo \"$d\"";
        let directory = self.ssh(unpack, Some(&archive), TRANSFER).map_err(network)?;
        let directory = directory.trim();
        // It becomes a part of commands.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_');
        if directory.is_empty() || !directory.chars().all(is_plain) {
            return Err(fail(format!("mktemp made the directory {directory:?}")));
        }
        let mut commands = Vec::new();
        if let KernelFile::Own = payload.kernel {
            commands.push(format!("cp {OWN} {directory}/{}", takeover::KERNEL));
        }
        if self.leased.site.boot.kind() == BootKind::Kexec {
            let (agent, load) = (takeover::AGENT, takeover::LOAD);
            commands.push(format!("{directory}/{agent} {load} {directory}"));
        }
        if !commands.is_empty()
            && let Err(error) = self.ssh(&commands.join(" && "), None, TRANSFER)
        {
            // A reboot would remove it as well.
            let _ = self.ssh(&format!("rm -rf {directory}"), None, LOOK);
            return Err(fail(error.to_string()));
        }
        Ok(directory.to_owned())
    }
}

/// The payload and the agent, which loads it, as an archive.
fn pack(payload: &Payload<'_>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        archive.append_data(&mut header, name, content)
    };
    add(takeover::AGENT, 0o700, crate::AGENT)?;
    if let KernelFile::Bytes(bytes) = payload.kernel {
        add(takeover::KERNEL, 0o600, bytes)?;
    }
    add(takeover::INITRAMFS, 0o600, payload.initramfs)?;
    add(takeover::PARAMETERS, 0o600, payload.parameters.as_bytes())?;
    archive.into_inner()
}
