//! Process 1 of a guest: mounts file systems, opens the channel, and always powers off at the end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use perfsec_wire::frame::{FrameError, Writer};
use perfsec_wire::{Message, Order, Refusal, paths, window};

use crate::channel::{self, Conversation, Window};
use crate::error::{Error, ErrorContext, Result};
use crate::machine::{Files, Prepared};
use crate::{knob, lane, machine, selinux, sysctl};

/// The channel's port, for a last message when the agent panics.
static LAST_WORD: OnceLock<File> = OnceLock::new();
/// The port carries bells instead of frames.
static MOVED: AtomicBool = AtomicBool::new(false);

/// Serves a lane. Process 1 must not return: the kernel would panic, and the host
/// would blame the kernel.
pub(crate) fn run() -> ! {
    let started_ms = machine::uptime_ms();
    std::panic::set_hook(Box::new(|panic| {
        if let Some(mut channel) = LAST_WORD.get() {
            if MOVED.load(Ordering::Relaxed) {
                let _ = channel.write_all(&[window::PLAIN]);
            }
            let doing = format!("continue: the agent has a bug: {panic}");
            let refusal = Message::Refused(Refusal::Setup { doing, errno: 0 });
            let _ = Writer::new(channel).write(&refusal);
        }
        power_off()
    }));
    match open() {
        Ok(port) => {
            if let Err(error) = talk(&port, started_ms) {
                // The channel cannot carry this; the host keeps the console of a dead guest.
                eprintln!("perfsec: the channel failed: {error}");
            }
            channel::drain(&port);
        }
        Err(error) => eprintln!("perfsec: {error}"),
    }
    power_off()
}

fn talk(port: &File, started_ms: u32) -> std::result::Result<(), FrameError> {
    let mut host = Conversation::on(port);
    lane::hello(&mut host)?;
    let guest = match prepare(started_ms) {
        Ok(guest) => guest,
        Err(refusal) => return host.send(&Message::Refused(refusal)),
    };
    let window = Window::open();
    host.send(&Message::Parked)?;
    // A snapshot is taken while this waits.
    let Order::Begin { lane, nonce, kernel_config } = host.order()? else {
        return Err(FrameError::Garbled("the first order does not begin".to_owned()));
    };
    let means = match &window {
        Ok(window) => {
            host.move_to(window)?;
            MOVED.store(true, Ordering::Relaxed);
            "shared memory".to_owned()
        }
        Err(error) => format!("serial port, {error}"),
    };
    let joined = guest.join(&lane).and_then(|mut machine| {
        let facts = machine.facts(&lane, means)?;
        Ok((machine, facts))
    });
    match joined {
        Ok((machine, facts)) => {
            lane::begin(&mut host, nonce, facts, kernel_config)?;
            lane::obey(machine, &mut host)
        }
        Err(refusal) => host.send(&Message::Refused(refusal)),
    }
}

/// Prepares the guest for any lane.
fn prepare(started_ms: u32) -> std::result::Result<Prepared, Refusal> {
    mount_one("proc", "/proc").map_err(|error| error.refusal())?;
    let sysctls = sysctl::watched();
    mounts().map_err(|error| error.refusal())?;
    let read = |path: &str| {
        std::fs::read(path).doing(format_args!("read {path}")).map_err(|error| error.refusal())
    };
    let preparation = lane::preparation(&read(paths::PREPARATION)?)?;
    let files = Files { subject: read(paths::SUBJECT)?, policies: selinux::folder().to_owned() };
    Prepared::new(preparation.coverage.as_deref(), files, sysctls, started_ms)
}

/// Opens the channel's port.
fn open() -> Result<File> {
    mount_one("devtmpfs", "/dev")?;
    let port = channel::port()?;
    if let Ok(clone) = port.try_clone() {
        let _ = LAST_WORD.set(clone);
    }
    Ok(port)
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

fn mount_one(kind: &str, at: &str) -> Result<()> {
    if !Path::new(at).is_dir() {
        std::fs::create_dir_all(at).doing(format_args!("make {at}"))?;
    }
    match mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>) {
        // CONFIG_DEVTMPFS_MOUNT does not apply to an initramfs, but would do no harm.
        Ok(()) | Err(nix::errno::Errno::EBUSY) => Ok(()),
        Err(errno) => Err(errno).doing(format_args!("mount {kind} on {at}")),
    }
}

fn power_off() -> ! {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Only a kernel that cannot power off gets here.
    let _ = reboot(RebootMode::RB_HALT_SYSTEM);
    loop {
        nix::unistd::pause();
    }
}
