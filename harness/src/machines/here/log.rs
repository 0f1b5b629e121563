//! The kernel's log of this machine, as the console of a guest has it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

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
                    line(&record).into_iter().for_each(|line| print(line.as_bytes()));
                }
                // Records were overwritten; the next read continues with the oldest.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// A record as a line of the console: `6,1,5140900,-;text` is `[    5.140900] text`. `None` if user
/// space wrote it (its facility, the number above the three bits of the level, is not that of the
/// kernel).
fn line(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: u64 = fields.nth(1)?.parse().ok()?;
    // A dictionary follows in lines of its own.
    let text = text.lines().next()?;
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    (priority >> 3 == 0).then(|| format!("[{seconds:5}.{rest:06}] {text}\r\n"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n",
        Some("[    5.140900] NET: Registered\r\n")
    )]
    #[case("12,340,5140901,-;systemd[1]: WARNING: CPU\n", None)]
    #[case("garbage", None)]
    fn a_record_of_the_kernel_is_a_line_of_the_console(
        #[case] record: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(line(record).as_deref(), expected);
    }
}
