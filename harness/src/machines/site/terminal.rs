//! Terminals: a serial port of this host, and one of a command's own.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{ControlFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// Opens a serial port of this host in raw mode.
pub(super) fn open_tty(path: &Path, baud: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A blocking open would wait for a carrier.
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = options.read(true).write(true).custom_flags(flags).open(path)?;
    let mut settings = tcgetattr(&file)?;
    cfmakeraw(&mut settings);
    let speed = speed(baud).ok_or_else(|| io::Error::other(format!("no speed {baud}")))?;
    // Not cfsetspeed(3): libc asks for its version `GLIBC_2.2.5`, which a static glibc lacks.
    settings.control_flags.remove(ControlFlags::CBAUD);
    settings.control_flags |= speed | ControlFlags::CLOCAL | ControlFlags::CREAD;
    tcsetattr(&file, SetArg::TCSANOW, &settings)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}

/// The bits of `c_cflag` for a speed (`include/uapi/asm-generic/termbits.h`).
fn speed(baud: u32) -> Option<ControlFlags> {
    let bits = match baud {
        9600 => libc::B9600,
        19_200 => libc::B19200,
        38_400 => libc::B38400,
        57_600 => libc::B57600,
        115_200 => libc::B115200,
        230_400 => libc::B230400,
        460_800 => libc::B460800,
        921_600 => libc::B921600,
        _ => return None,
    };
    Some(ControlFlags::from_bits_retain(bits))
}

/// Runs a command on a terminal of its own, which changes no byte.
pub(super) fn on_terminal(command: &str) -> io::Result<(File, File, Child)> {
    // Not openpty(3): other processes would have its descriptors, and keep the terminal open.
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    let slave = options.open(ptsname_r(&master)?)?;
    let mut settings = tcgetattr(slave.as_fd())?;
    cfmakeraw(&mut settings);
    tcsetattr(slave.as_fd(), SetArg::TCSANOW, &settings)?;
    let end = || slave.try_clone().map(Stdio::from);
    // `setsid` makes it the leader of a session and of a process group with its own number.
    let child = Command::new("setsid")
        .args(["--ctty", "sh", "-c", command])
        .stdin(end()?)
        .stdout(end()?)
        .stderr(end()?)
        .spawn()?;
    let master = File::from(OwnedFd::from(master));
    Ok((master.try_clone()?, master, child))
}

#[cfg(test)]
mod tests {
    use nix::pty::{Winsize, openpty};
    use nix::sys::termios::{BaudRate, Termios, cfgetospeed};

    use super::*;

    #[test]
    fn a_terminal_gets_its_speed() {
        let terminal = openpty(None::<&Winsize>, None::<&Termios>).unwrap();
        let path = nix::unistd::ttyname(&terminal.slave).unwrap();
        for (baud, speed) in [(9600, BaudRate::B9600), (921_600, BaudRate::B921600)] {
            let opened = open_tty(&path, baud).unwrap();
            assert_eq!(cfgetospeed(&tcgetattr(&opened).unwrap()), speed);
        }
        let refused = open_tty(&path, 110).unwrap_err();
        assert_eq!(refused.to_string(), "no speed 110");
    }
}
