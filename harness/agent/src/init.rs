//! Being process 1 of a guest: mounts, the serial channel, and power off whatever happens.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::{ControlFlags, SetArg, cfmakeraw, tcdrain, tcgetattr, tcsetattr};
use perfsec_wire::frame::{FrameError, Writer};
use perfsec_wire::{Job, Message, Refusal, paths};

use crate::error::{Doing, Error, Result};
use crate::machine::Files;
use crate::undo::Undo;
use crate::{lane, machine, selinux, shell};

/// The second serial port: the driver is built into stock kernels, those for virtio are modules.
const CHANNEL: &str = "/dev/ttyS1";

/// The channel's file, for a last word when the agent itself fails.
static LAST_WORD: OnceLock<File> = OnceLock::new();

/// Runs the lane of the initramfs. Process 1 must not return: the kernel would panic, and the host
/// would blame it.
pub(crate) fn run() -> ! {
    let started_ms = machine::uptime_ms();
    std::panic::set_hook(Box::new(|panic| {
        if let Some(channel) = LAST_WORD.get() {
            let doing = format!("go on: the agent is wrong: {panic}");
            let refusal = Message::Refused(Refusal::Setup { doing, errno: 0 });
            let _ = Writer::new(channel).write(&refusal);
        }
        power_off()
    }));
    match open() {
        Ok(channel) => {
            if let Err(error) = talk(&channel, started_ms) {
                // The host cannot be told over the channel; it keeps the console of a dead guest.
                eprintln!("perfsec: the channel failed: {error}");
            }
            let _ = tcdrain(&channel);
        }
        Err(error) => eprintln!("perfsec: {error}"),
    }
    power_off()
}

fn talk(channel: &File, started_ms: u32) -> std::result::Result<(), FrameError> {
    let mut writer = Writer::new(channel);
    lane::hello(&mut writer)?;
    let refused = |doing: String| Refusal::Setup { doing, errno: 0 };
    let lane = mounts()
        .map_err(|error| error.refusal())
        .and_then(|()| {
            std::fs::read(paths::LANE).map_err(|e| refused(format!("read the lane: {e}")))
        })
        .and_then(|bytes| lane::read(&bytes));
    let lane = match lane {
        Ok(lane) => lane,
        Err(refusal) => return writer.write(&Message::Refused(refusal)),
    };
    let files = match std::fs::read(paths::SUBJECT) {
        Ok(subject) => Files { subject, policies: selinux::folder().to_owned() },
        Err(error) => {
            let refusal = refused(format!("read {}: {error}", paths::SUBJECT));
            return writer.write(&Message::Refused(refusal));
        }
    };
    // A shell's guest lives on for a while: its records are to reach the console again.
    let undo = Undo::new(matches!(lane.job, Job::Shell));
    lane::run(&lane, files, undo, started_ms, &mut writer, shell::run)
}

/// Opens the channel, raw: what goes through is not text.
fn open() -> Result<File> {
    mount_one("devtmpfs", "/dev")?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        // Without a carrier the open would wait for one.
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(CHANNEL)
        .doing(format_args!("open {CHANNEL}"))?;
    let mut settings = tcgetattr(&file).doing("read the channel's settings")?;
    cfmakeraw(&mut settings);
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    tcsetattr(&file, SetArg::TCSANOW, &settings).doing("make the channel raw")?;
    let flags = nix::fcntl::OFlag::empty();
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(flags))
        .doing("make the channel wait")?;
    if let Ok(clone) = file.try_clone() {
        let _ = LAST_WORD.set(clone);
    }
    Ok(file)
}

/// What the agent reads and writes. selinuxfs and securityfs are absent on a kernel that will be refused
/// with a better reason than that.
fn mounts() -> Result<()> {
    mount_one("proc", "/proc")?;
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
        // CONFIG_DEVTMPFS_MOUNT does not apply to an initramfs, but nothing is lost if it did.
        Ok(()) | Err(nix::errno::Errno::EBUSY) => Ok(()),
        Err(errno) => Err(errno).doing(format_args!("mount {kind} on {at}")),
    }
}

fn power_off() -> ! {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Only a kernel without the means to power off comes here.
    let _ = reboot(RebootMode::RB_HALT_SYSTEM);
    loop {
        nix::unistd::pause();
    }
}
