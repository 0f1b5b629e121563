//! Process 1 of a guest that runs nothing but the agent: mounts file systems.

use std::path::Path;
use std::sync::Arc;

use nix::mount::{MsFlags, mount};
use perfsec_wire::Refusal;
use perfsec_wire::console::ConsoleParameter;

use crate::channel::{self, Port};
use crate::console::Console;
use crate::error::{Error, ErrorContext, Result};
use crate::machine::{Files, Prepared, Surroundings};
use crate::{knob, lane, serve, service, sysctl};

/// Serves a lane. Process 1 must not return: the kernel would panic, and the host
/// would blame the kernel.
pub(crate) fn run() -> ! {
    match console() {
        Some(parameter) => {
            let open = move || open_console(&parameter);
            serve::Service { open, prepare: prepare_one, window: false, end: serve::restart }.run()
        }
        None => serve::Service { open, prepare, window: true, end: serve::power_off }.run(),
    }
}

/// The kernel's console, if that is the only way to the host.
fn console() -> Option<ConsoleParameter> {
    // Whatever fails here fails again where it is reported.
    mount_one("proc", "/proc").ok()?;
    ConsoleParameter::find(&knob::read("/proc/cmdline").ok()?)
}

/// Opens the channel on the console.
fn open_console(parameter: &ConsoleParameter) -> Result<Port> {
    mount_one("devtmpfs", "/dev")?;
    Console::open(parameter).map(|console| Port::Console(Arc::new(console)))
}

/// Prepares a machine that may have several CPUs.
fn prepare_one(started_ms: u32) -> std::result::Result<Prepared, Refusal> {
    service::stay_on_one_cpu().map_err(|error| error.refusal())?;
    prepare(started_ms)
}

/// Prepares the guest for any lane.
fn prepare(started_ms: u32) -> std::result::Result<Prepared, Refusal> {
    mount_one("proc", "/proc").map_err(|error| error.refusal())?;
    let sysctls = sysctl::watched();
    mounts().map_err(|error| error.refusal())?;
    let files = Files::read().map_err(|error| error.refusal())?;
    let preparation = lane::preparation(&files.preparation)?;
    let coverage = preparation.coverage.as_deref();
    Prepared::new(Surroundings::Alone, coverage, files, sysctls, started_ms)
}

/// Opens the channel's port.
fn open() -> Result<Port> {
    mount_one("devtmpfs", "/dev")?;
    channel::port()
}

/// Mounts the file systems that the agent needs besides `/proc`. A kernel without selinuxfs or
/// securityfs is refused later, with a better reason.
fn mounts() -> Result<()> {
    // exec moves a stack whose place is random (shift_arg_pages()) and flushes the TLB for that.
    let _ = knob::write("/proc/sys/kernel/randomize_va_space", "0");
    mount_one("sysfs", "/sys")?;
    mount_one("tracefs", "/sys/kernel/tracing").map_err(|error| {
        let doing = "see syscalls, which needs CONFIG_FTRACE=y with trace events \
                     (CONFIG_ENABLE_DEFAULT_TRACERS=y or any tracer)";
        Error { doing: format!("{doing}: {}", error.doing), ..error }
    })?;
    for (kind, at) in [("securityfs", "/sys/kernel/security"), ("selinuxfs", "/sys/fs/selinux")] {
        if Path::new(at).is_dir() {
            mount_one(kind, at)?;
        }
    }
    Ok(())
}

/// Mounts a file system of the kernel, unless one is there.
pub(crate) fn mount_one(kind: &str, at: &str) -> Result<()> {
    if !Path::new(at).is_dir() {
        std::fs::create_dir_all(at).doing(format_args!("make {at}"))?;
    }
    match mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>) {
        // CONFIG_DEVTMPFS_MOUNT does not apply to an initramfs, but would do no harm.
        Ok(()) | Err(nix::errno::Errno::EBUSY) => Ok(()),
        Err(errno) => Err(errno).doing(format_args!("mount {kind} on {at}")),
    }
}
