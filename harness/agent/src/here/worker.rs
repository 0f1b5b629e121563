//! The worker: serves a lane as an ordinary process of the machine.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use perfsec_wire::{Refusal, here};

use super::{journal, role};
use crate::channel::{Port, Streams};
use crate::error::{Error, ErrorContext, Result};
use crate::init::mount_one;
use crate::machine::{Files, Prepared, Surroundings};
use crate::serve::Service;
use crate::{lane, selinux, service, sysctl};

/// File systems of the kernel that the agent needs.
const NEEDED: [(&str, &str, &str); 3] = [
    ("tracefs", "/sys/kernel/tracing", "trace"),
    ("securityfs", "/sys/kernel/security", "lsm"),
    ("selinuxfs", selinux::MOUNT, "enforce"),
];

/// Serves a lane.
pub(super) fn run(directory: &Path) -> ! {
    let files = directory.to_owned();
    Service {
        open: take_channel,
        prepare: move |started_ms| prepare(&files, started_ms),
        window: false,
        end: || std::process::exit(0),
    }
    .run()
}

/// Mounts those of the file systems that the machine does not have mounted.
pub(super) fn mount_missing() -> Result<()> {
    for (kind, at, entry) in NEEDED {
        if Path::new(at).is_dir() && !Path::new(at).join(entry).exists() {
            mount_one(kind, at)?;
        }
    }
    Ok(())
}

/// The channel, which is on standard input and output. Subjects inherit nothing of it.
fn take_channel() -> Result<Port> {
    let doing = "take the channel";
    let keep = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let input = keep(std::io::stdin().as_fd()).doing(doing)?;
    let output = keep(std::io::stdout().as_fd()).doing(doing)?;
    let nothing = File::options().read(true).write(true).open("/dev/null").doing(doing)?;
    nix::unistd::dup2_stdin(&nothing).doing(doing)?;
    nix::unistd::dup2_stdout(&nothing).doing(doing)?;
    // The policy is asked about each descriptor that a subject inherits.
    nix::unistd::dup2_stderr(&nothing).doing(doing)?;
    Ok(Port::Own(Streams { input, output }))
}

/// Prepares the machine for any lane.
fn prepare(directory: &Path, started_ms: u32) -> std::result::Result<Prepared, Refusal> {
    let refusal = |error: Error| error.refusal();
    let sysctls = sysctl::watched();
    let files = Files::read_from(
        &directory.join(here::PREPARATION),
        &directory.join(here::SUBJECT),
        directory,
    );
    let files = files.map_err(refusal)?;
    journal::open(&role::journal(directory)).map_err(refusal)?;
    service::isolate().map_err(refusal)?;
    // As that of process 1: subjects have it, whatever perfsec's is.
    std::env::set_current_dir("/").doing("enter /").map_err(refusal)?;
    service::stay_on_one_cpu().map_err(refusal)?;
    let preparation = lane::preparation(&files.preparation)?;
    let coverage = preparation.coverage.as_deref();
    Prepared::new(Surroundings::Machine, coverage, files, sysctls, started_ms)
}
