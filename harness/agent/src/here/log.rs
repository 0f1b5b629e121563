//! The kernel's log, record by record, for perfsec to show.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `CONSOLE_EXT_LOG_MAX`, the longest record.
const LONGEST: usize = 8192;

/// A reader of `/dev/kmsg`.
pub(super) struct Log(File);

impl Log {
    /// Opens it at its oldest record.
    pub(super) fn open() -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg").map(Self)
    }

    /// Another handle of the same log, to wait for records.
    pub(super) fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Passes on the records since the last call, with their numbers.
    pub(super) fn follow(&mut self, mut pass: impl FnMut(u64, &[u8])) {
        let mut buffer = [0; LONGEST];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return,
                Ok(got) => pass(number(&buffer[..got]).unwrap_or(u64::MAX), &buffer[..got]),
                // Records were overwritten; the next read continues with the oldest.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for a record.
    pub(super) fn wait(&self) -> nix::Result<()> {
        let mut waiting = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::NONE).map(drop)
    }
}

/// The number of a record: the second field.
fn number(record: &[u8]) -> Option<u64> {
    let mut fields = record.split(|byte| *byte == b',');
    std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_number_behind_its_priority() {
        assert_eq!(number(b"6,339,5140900,-;NET: Registered\n"), Some(339));
        assert_eq!(number(b"6"), None);
        assert_eq!(number(b"garbage,x"), None);
    }
}
