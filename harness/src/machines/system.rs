//! A guest system in one archive, for machines that perfsec does not start.

use std::io::{self, Read, Write};

use perfsec_qemu::machine::kernel_parameters;
use perfsec_qemu::{Accel, Initramfs, initramfs};
use perfsec_wire::{BootMode, paths};

use super::{GuestProgram, parameters};

/// The service of the agent. It would find nobody to talk to, and power the machine off.
const SERVICE: &str = "/etc/systemd/system/perfsec.service";

/// Writes the root of a guest system, and programs in /usr/bin, as one archive that a kernel
/// unpacks. The agent is process 1 until the files are labelled, and does not run afterwards.
///
/// # Errors
///
/// If the root cannot be read, a program is too long for an archive, or nothing can be written.
pub fn pack_system(
    root: impl Read,
    programs: &[GuestProgram],
    output: impl Write,
) -> io::Result<()> {
    additions(programs).map_err(io::Error::other)?.write_behind(root, output)
}

/// The files that the root lacks.
fn additions(programs: &[GuestProgram]) -> Result<Initramfs, initramfs::ArchiveError> {
    let mut files = initramfs::Builder::new().file(paths::AGENT, 0o755, crate::AGENT)?;
    // systemd starts no unit whose file is empty.
    files = files.file(SERVICE, 0o644, [])?;
    for program in programs {
        files = files.file(&program.path(), 0o755, program.content())?;
    }
    files.build()
}

/// The kernel parameters with which a guest system boots: its console is the first serial port.
#[must_use]
pub fn system_parameters() -> Vec<String> {
    // The others only make an emulated boot faster.
    let mut parameters = kernel_parameters(Accel::Kvm);
    parameters.extend(parameters::of_lane(BootMode::Selinux));
    parameters.extend(parameters::of_system());
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_and_the_programs_follow_the_root_and_its_service_is_masked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("true");
        std::fs::write(&path, crate::SUBJECT).unwrap();
        let program = path.display().to_string().parse().unwrap();
        let mut archive = Vec::new();
        pack_system(&b"the root"[..], &[program], &mut archive).unwrap();
        let mut rest = archive.strip_prefix(b"the root").unwrap();
        let mut files = Vec::new();
        loop {
            let mut reader = cpio::NewcReader::new(rest).unwrap();
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            rest = reader.finish().unwrap();
            if mode & 0o170_000 == 0o100_000 {
                files.push((name, mode & 0o777, content));
            }
        }
        let file = |name: &str, mode, content: &[u8]| (name.to_owned(), mode, content.to_vec());
        let wanted = [
            file("etc/systemd/system/perfsec.service", 0o644, b""),
            file("init", 0o755, crate::AGENT),
            file("usr/bin/true", 0o755, crate::SUBJECT),
        ];
        assert!(files == wanted, "{:?}", files.iter().map(|it| &it.0).collect::<Vec<_>>());
    }

    #[test]
    fn a_guest_system_boots_permissive_with_selinux_and_a_serial_console() {
        let parameters = system_parameters();
        for wanted in ["console=ttyS0", "security=selinux", "enforcing=0"] {
            assert!(parameters.iter().any(|it| it == wanted), "{parameters:?}");
        }
    }
}
