//! The kernel log, `/dev/kmsg` (`Documentation/ABI/testing/dev-kmsg`).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;
use perfsec_wire::observation::KernelMessage;

use crate::error::{Error, ErrorContext, Result};

/// A message, with its time in microseconds of `local_clock()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogMessage {
    pub(crate) time_us: u64,
    pub(crate) message: KernelMessage,
}

/// A reader of the log, opened at its end.
pub(crate) struct Kmsg {
    file: File,
    /// The highest count of lost audit records in a message that was read, or 0.
    audit_lost: u32,
    /// Room for one record.
    buffer: Box<[u8; LONGEST]>,
}

/// `CONSOLE_EXT_LOG_MAX`, the longest record.
const LONGEST: usize = 8192;

impl Kmsg {
    pub(crate) fn open() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .doing("open /dev/kmsg")?;
        file.seek(SeekFrom::End(0)).doing("find the end of /dev/kmsg")?;
        Ok(Self { file, audit_lost: 0, buffer: Box::new([0; LONGEST]) })
    }

    /// The highest count of lost audit records since boot in the messages that were read, or 0.
    pub(crate) fn audit_lost(&self) -> u32 {
        self.audit_lost
    }

    /// The messages printed since the last call.
    pub(crate) fn drain(&mut self) -> Result<Vec<LogMessage>> {
        let mut messages = Vec::new();
        loop {
            match self.file.read(&mut self.buffer[..]) {
                Ok(0) => return Ok(messages),
                Ok(got) => {
                    let message = parse(&self.buffer[..got]);
                    let lost = message.as_ref().and_then(audit_lost);
                    self.audit_lost = self.audit_lost.max(lost.unwrap_or(0));
                    messages.extend(message);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                // Unread messages were overwritten; devkmsg_read() continues with the oldest.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    return Err(Error::new("read every kernel message", "the log overran"));
                }
                Err(error) => return Err(error).doing("read /dev/kmsg"),
            }
        }
    }
}

/// The counter in a message of `audit_log_lost()`.
fn audit_lost(printed: &LogMessage) -> Option<u32> {
    let text = printed.message.text.strip_prefix("audit: audit_lost=")?;
    text.split_whitespace().next()?.parse().ok()
}

/// One record: `PRIORITY,SEQUENCE,TIME,FLAGS[,…];TEXT`, then lines of a dictionary. Returns `None`
/// for a message from user space.
fn parse(bytes: &[u8]) -> Option<LogMessage> {
    let text = String::from_utf8_lossy(bytes);
    let (prefix, text) = text.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let time_us = fields.nth(1)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().to_owned();
    let (facility, level) = (priority >> 3, (priority & 7) as u8);
    (facility == 0).then_some(LogMessage { time_us, message: KernelMessage { level, text } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_record_gives_its_level_time_and_first_line() {
        let record = b"4,1207,8345218,-;perf: interrupt took too long; lowering\n SUBSYSTEM=cpu\n";
        let printed = parse(record).unwrap();
        assert_eq!((printed.time_us, printed.message.level), (8_345_218, 4));
        assert_eq!(printed.message.text, "perf: interrupt took too long; lowering");
    }

    #[test]
    fn a_message_about_lost_audit_records_has_their_count() {
        let lost = |record: &[u8]| parse(record).as_ref().and_then(audit_lost);
        let record = b"4,601,5301,-;audit: audit_lost=17 audit_rate_limit=0 audit_backlog_limit=1";
        assert_eq!(lost(record), Some(17));
        assert_eq!(lost(b"4,602,5301,-;audit: audit_backlog=2 > audit_backlog_limit=1\n"), None);
        assert_eq!(lost(b"12,603,5301,-;audit: audit_lost=17 audit_rate_limit=0\n"), None);
    }

    #[test]
    fn a_message_from_user_space_is_ignored() {
        assert_eq!(parse(b"12,7,100,-;hello\n"), None);
    }
}
