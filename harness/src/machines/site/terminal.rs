//! Terminals: a serial port of this host, and one of a command's own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{
    BaudRate, ControlFlags, SetArg, Termios, cfmakeraw, cfsetspeed, tcgetattr, tcsetattr,
};

/// Opens a serial port of this host in raw mode.
pub(super) fn open_tty(path: &Path, baud: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A blocking open would wait for a carrier.
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = options.read(true).write(true).custom_flags(flags).open(path)?;
    let mut settings = tcgetattr(&file)?;
    cfmakeraw(&mut settings);
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    let speed = speed(baud).ok_or_else(|| io::Error::other(format!("no speed {baud}")))?;
    cfsetspeed(&mut settings, speed)?;
    tcsetattr(&file, SetArg::TCSANOW, &settings)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

fn speed(baud: u32) -> Option<BaudRate> {
    Some(match baud {
        9600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        921_600 => BaudRate::B921600,
        _ => return None,
    })
}

/// Runs a command on a terminal of its own, which changes no byte.
pub(super) fn on_terminal(command: &str) -> io::Result<(File, File, Child)> {
    let terminal = openpty(None::<&Winsize>, None::<&Termios>)?;
    let mut settings = tcgetattr(terminal.slave.as_fd())?;
    cfmakeraw(&mut settings);
    tcsetattr(terminal.slave.as_fd(), SetArg::TCSANOW, &settings)?;
    let end = || terminal.slave.try_clone().map(Stdio::from);
    // `setsid` makes it the leader of a session and of a process group with its own number.
    let child = Command::new("setsid")
        .args(["--ctty", "sh", "-c", command])
        .stdin(end()?)
        .stdout(end()?)
        .stderr(end()?)
        .spawn()?;
    let master = File::from(terminal.master);
    Ok((master.try_clone()?, master, child))
}
