//! Serial ports.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::termios::{ControlFlags, SetArg, cfmakeraw, tcdrain, tcgetattr, tcsetattr};

use crate::error::{ErrorContext, Result};

/// Opens a serial port in raw mode, in which no byte means anything to the kernel.
pub(crate) fn open_raw(path: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        // A blocking open would wait for a carrier.
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path)
        .doing(format_args!("open {path}"))?;
    let mut settings = tcgetattr(&file).doing("read the channel's settings")?;
    cfmakeraw(&mut settings);
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    tcsetattr(&file, SetArg::TCSANOW, &settings).doing("make the channel raw")?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty())).doing("make the channel blocking")?;
    Ok(file)
}

/// Waits until the last byte has left the port.
pub(crate) fn drain(port: &File) {
    // A port that fails here has failed before, where it was reported; a socket has no such queue.
    let _ = tcdrain(port);
}
