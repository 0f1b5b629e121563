//! The kernel's log of this machine, as the console of a guest has it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use crate::machines::live::console_line;

/// `CONSOLE_EXT_LOG_MAX`, the longest record.
const LONGEST: usize = 8192;

/// A reader of `/dev/kmsg`, from its end on.
pub(super) struct Log(File);

impl Log {
    pub(super) fn open() -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// Passes on the lines that were printed since the last call.
    pub(super) fn follow(&mut self, print: impl Fn(&[u8])) {
        let mut buffer = [0; LONGEST];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return,
                Ok(got) => {
                    let record = String::from_utf8_lossy(&buffer[..got]);
                    console_line(&record).into_iter().for_each(|line| print(line.as_bytes()));
                }
                // Records were overwritten; the next read continues with the oldest.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
