//! The audit daemon: the netlink protocol of `include/uapi/linux/audit.h`.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
    setsockopt, socket, sockopt,
};
use perfsec_wire::message::AuditFacts;
use perfsec_wire::observation::Record;

use crate::error::{Error, ErrorContext, Result};

const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
/// A message from user space. `audit_receive_msg()` queues it like a record, and this type even
/// while audit is not enabled.
const AUDIT_USER_AVC: u16 = 1107;
/// Up to this type a message is an answer; above, it is a record (`AUDIT_FIRST_USER_MSG`).
const LAST_CONTROL: u16 = 1099;

const STATUS_ENABLED: u32 = 0x01;
const STATUS_FAILURE: u32 = 0x02;
const STATUS_PID: u32 = 0x04;
const STATUS_RATE_LIMIT: u32 = 0x08;
const STATUS_BACKLOG_LIMIT: u32 = 0x10;

/// `AUDIT_FAIL_PRINTK`: the kernel also logs that it lost records.
const FAIL_PRINTK: u32 = 1;
/// Queue length. A cell makes some tens of records, and the agent receives all of them.
const BACKLOG: u32 = 8192;
/// `MAX_AUDIT_MESSAGE_LENGTH` (8970) and a header, rounded up.
const LONGEST: usize = 9216;
/// Timeout in milliseconds, which only a kernel whose kauditd has died reaches.
const DEAD_MS: u16 = 20_000;

/// `struct audit_status` up to the fields that every supported kernel has.
#[derive(Clone, Copy, Debug, Default)]
struct Status {
    mask: u32,
    enabled: u32,
    failure: u32,
    pid: u32,
    rate_limit: u32,
    backlog_limit: u32,
    lost: u32,
    backlog: u32,
}

impl Status {
    fn to_bytes(self) -> Vec<u8> {
        let words = [
            self.mask,
            self.enabled,
            self.failure,
            self.pid,
            self.rate_limit,
            self.backlog_limit,
            self.lost,
            self.backlog,
        ];
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok());
        let mut next = || words.next().map(u32::from_ne_bytes);
        Some(Self {
            mask: next()?,
            enabled: next()?,
            failure: next()?,
            pid: next()?,
            rate_limit: next()?,
            backlog_limit: next()?,
            lost: next()?,
            backlog: next()?,
        })
    }
}

/// The audit socket of a registered daemon.
pub(crate) struct Audit {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8; LONGEST]>,
    /// Records that arrived before the answer to a request.
    waiting: VecDeque<Record>,
    /// The status at boot.
    boot: Status,
    enabled: bool,
    /// True if audit is enabled between cells.
    enabled_by_default: bool,
    /// A cell loaded the rule.
    rule: bool,
    /// A cell changed the backlog limit.
    limited: bool,
    /// The `lost` counter as far as cells have reported it.
    lost: u32,
}

/// One end of a cell in the stream of records. `kauditd` keeps the order of the queue: when a mark
/// has arrived, so has everything queued before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Audit {
    /// Opens the socket and reads the status.
    ///
    /// # Errors
    ///
    /// If the kernel has no audit, or was booted with `audit=0` (then it has no kernel socket).
    pub(crate) fn open() -> Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkAudit,
        )
        .doing("open an audit socket")?;
        setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).doing("size the audit socket")?;
        let mut audit = Self {
            socket,
            sequence: 0,
            buffer: Box::new([0; LONGEST]),
            waiting: VecDeque::new(),
            boot: Status::default(),
            enabled: true,
            enabled_by_default: true,
            rule: false,
            limited: false,
            lost: 0,
        };
        audit.boot = audit.status()?;
        Ok(audit)
    }

    /// Registers as the audit daemon, without limits that drop records, and enables audit if
    /// `wanted`. That cannot be undone: every task forked later has an audit context
    /// (`audit_alloc()`). The agent has none, so its own syscalls write no records.
    pub(crate) fn register(&mut self, wanted: bool) -> Result<()> {
        let own = std::process::id();
        if self.boot.pid != 0 {
            return Err(Error::new(
                "register as audit daemon",
                format_args!("process {} is registered", self.boot.pid),
            ));
        }
        self.set(Status {
            mask: STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT,
            failure: FAIL_PRINTK,
            backlog_limit: self.default_backlog(),
            ..Status::default()
        })
        .doing("lift the limits of audit")?;
        self.set(Status { mask: STATUS_PID, pid: own, ..Status::default() })
            .doing("register as audit daemon")?;
        self.enabled_by_default = wanted;
        self.enabled = self.boot.enabled != 0;
        self.enable(wanted)
    }

    /// Restores the limits at boot; the kernel then prints records to its log again.
    pub(crate) fn unregister(&mut self) {
        let limits = STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT;
        // A guest whose audit cannot be restored is still good for a shell.
        let _ = self.set(Status { mask: limits, ..self.boot });
        let _ = self.set(Status { mask: STATUS_PID, ..Status::default() });
    }

    /// Reads back the effect of `register`.
    pub(crate) fn facts(&mut self) -> Result<AuditFacts> {
        let Status { enabled, pid, rate_limit, backlog_limit, lost, .. } = self.status()?;
        self.lost = lost;
        Ok(AuditFacts { enabled, pid, rate_limit, backlog_limit, lost })
    }

    /// The number of records lost since the last call, if the kernel's log has `logged` as the
    /// highest value of the counter.
    ///
    /// The counter itself is expensive: the kernel starts a thread for the answer to AUDIT_GET
    /// (`audit_send_reply()`), and writes a record if it is reset.
    pub(crate) fn lost(&mut self, logged: u32) -> u32 {
        let now = self.lost.max(logged);
        now - std::mem::replace(&mut self.lost, now)
    }

    /// Compares the counter with the log, which must mention every lost record: that is what
    /// `register` and `expedite()` set, and `audit_log_lost()` then prints the counter each time.
    ///
    /// # Errors
    ///
    /// If the kernel lost records silently.
    pub(crate) fn check_lost(&mut self, logged: u32) -> Result<()> {
        let counter = self.status()?.lost;
        let silently = counter.saturating_sub(self.lost.max(logged));
        if silently == 0 {
            return Ok(());
        }
        self.lost = counter;
        Err(Error::new(
            "find every lost audit record in the kernel's log",
            format_args!("the counter is {silently} ahead, in this cell or some before it"),
        ))
    }

    /// Puts a mark into the queue, behind every record that exists now.
    pub(crate) fn mark(&mut self, name: impl std::fmt::Display) -> Result<Mark> {
        let text = format!("perfsec {} {name}", std::process::id());
        // audit_receive_msg() overwrites the last byte with a NUL.
        self.send(AUDIT_USER_AVC, 0, format!("{text}\0").as_bytes())
            .doing("mark the audit records")?;
        Ok(Mark(format!("msg='{text}'")))
    }

    /// Waits for the `end` mark and returns the records between the marks; drops those before
    /// `begin`.
    pub(crate) fn between(&mut self, begin: &Mark, end: &Mark) -> Result<Vec<Record>> {
        let mut records = None;
        loop {
            let Record { kind, text } = self.next()?;
            if kind == AUDIT_USER_AVC && text.ends_with(&begin.0) {
                records = Some(Vec::new());
            } else if kind == AUDIT_USER_AVC && text.ends_with(&end.0) {
                return records.ok_or_else(|| {
                    Error::new("receive every audit record", "the mark before the steps is missing")
                });
            } else if let Some(records) = &mut records {
                records.push(Record { kind, text });
            }
        }
    }

    /// Enables or disables audit of syscalls; AVC records are written either way.
    pub(crate) fn enable(&mut self, wanted: bool) -> Result<()> {
        if self.enabled == wanted {
            return Ok(());
        }
        let enabled = wanted.into();
        self.set(Status { mask: STATUS_ENABLED, enabled, ..Status::default() })
            .doing(if wanted { "enable audit" } else { "disable audit" })?;
        self.enabled = wanted;
        Ok(())
    }

    /// Loads a rule that no syscall matches: `exit,always` for a user id that no process has.
    pub(crate) fn add_rule(&mut self) -> Result<()> {
        self.request(AUDIT_ADD_RULE, &rule()).doing("add an audit rule")?;
        self.rule = true;
        Ok(())
    }

    /// Sets the backlog limit.
    pub(crate) fn set_backlog(&mut self, limit: u32) -> Result<()> {
        let mask = STATUS_BACKLOG_LIMIT;
        self.set(Status { mask, backlog_limit: limit, ..Status::default() })
            .doing("set the backlog limit of audit")?;
        self.limited = limit != self.default_backlog();
        Ok(())
    }

    /// The backlog limit between cells.
    fn default_backlog(&self) -> u32 {
        self.boot.backlog_limit.max(BACKLOG)
    }

    /// Undoes what a cell did to audit.
    pub(crate) fn restore(&mut self) -> Result<()> {
        self.enable(self.enabled_by_default)?;
        if self.limited {
            self.set_backlog(self.default_backlog())?;
        }
        if std::mem::take(&mut self.rule) {
            self.request(AUDIT_DEL_RULE, &rule()).doing("remove an audit rule")?;
        }
        Ok(())
    }

    /// Changes settings.
    fn set(&mut self, status: Status) -> nix::Result<()> {
        self.request(AUDIT_SET, &status.to_bytes())
    }

    fn request(&mut self, kind: u16, payload: &[u8]) -> nix::Result<()> {
        let sequence = self.send(kind, libc::NLM_F_ACK as u16, payload)?;
        self.answer(sequence).map(drop)
    }

    fn status(&mut self) -> Result<Status> {
        let doing = "read the status of audit";
        let sequence = self.send(AUDIT_GET, 0, &[]).doing(doing)?;
        let answer = self.answer(sequence).doing(doing)?;
        Status::from_bytes(&answer).ok_or_else(|| Error::new(doing, "the answer is too short"))
    }

    /// The answer to a request. An acknowledgement begins with a number that is not negative.
    fn answer(&mut self, sequence: u32) -> nix::Result<Vec<u8>> {
        loop {
            let (header, kind, payload) = self.datagram()?;
            if kind > LAST_CONTROL {
                let record = record(kind, payload);
                self.waiting.push_back(record);
                continue;
            }
            if header != sequence {
                continue;
            }
            if i32::from(kind) == libc::NLMSG_ERROR {
                let number = payload.first_chunk().ok_or(Errno::EPROTO)?;
                let error = i32::from_ne_bytes(*number).wrapping_neg();
                if error > 0 {
                    return Err(Errno::from_raw(error));
                }
            }
            return Ok(payload.to_vec());
        }
    }

    /// The next record.
    fn next(&mut self) -> Result<Record> {
        if let Some(record) = self.waiting.pop_front() {
            return Ok(record);
        }
        loop {
            let (_, kind, payload) = self.datagram().doing("receive every audit record")?;
            if kind > LAST_CONTROL {
                return Ok(record(kind, payload));
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> nix::Result<u32> {
        const HEADER: usize = size_of::<libc::nlmsghdr>();
        self.sequence += 1;
        let mut message = Vec::with_capacity(HEADER + payload.len() + 1);
        message.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | libc::NLM_F_REQUEST as u16).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(payload);
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.socket.as_raw_fd(), &message, &kernel, MsgFlags::empty())?;
        Ok(self.sequence)
    }

    /// One message: sequence, type, payload. kauditd sends one message per datagram and does not
    /// always set `nlmsg_len` to its length, so the length is that of the datagram.
    fn datagram(&mut self) -> nix::Result<(u32, u16, &[u8])> {
        const HEADER: usize = size_of::<libc::nlmsghdr>();
        let mut got = recv(self.socket.as_raw_fd(), &mut self.buffer[..], MsgFlags::MSG_DONTWAIT);
        if got == Err(Errno::EAGAIN) {
            let mut waiting = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut waiting, PollTimeout::from(DEAD_MS))? == 0 {
                return Err(Errno::ETIMEDOUT);
            }
            got = recv(self.socket.as_raw_fd(), &mut self.buffer[..], MsgFlags::MSG_DONTWAIT);
        }
        // ENOBUFS: the socket overran and a record is lost, which the caller must report.
        let (header, payload) =
            self.buffer[..got?].split_at_checked(HEADER).ok_or(Errno::EPROTO)?;
        let word =
            |at: usize| header[at..].first_chunk::<4>().map_or(0, |w| u32::from_ne_bytes(*w));
        Ok((word(8), word(4) as u16, payload))
    }
}

fn record(kind: u16, payload: &[u8]) -> Record {
    // Nearly always valid, and `from_utf8()` checks words where `from_utf8_lossy()` checks bytes.
    let text = match str::from_utf8(payload) {
        Ok(text) => text.trim_end_matches('\0').to_owned(),
        Err(_) => String::from_utf8_lossy(payload).trim_end_matches('\0').to_owned(),
    };
    Record { kind, text }
}

/// `struct audit_rule_data`: `-a exit,always -S all -F uid=4294967294`.
fn rule() -> Vec<u8> {
    const AUDIT_FILTER_EXIT: u32 = 4;
    const AUDIT_ALWAYS: u32 = 2;
    const AUDIT_UID: u32 = 1;
    const AUDIT_EQUAL: u32 = 0x4000_0000;
    const BITMASK: usize = 64;
    const FIELDS: usize = 64;
    const NOBODY: u32 = u32::MAX - 1;
    let first = |value: u32| std::iter::once(value).chain(std::iter::repeat_n(0, FIELDS - 1));
    let head = [AUDIT_FILTER_EXIT, AUDIT_ALWAYS, 1];
    let words = head.into_iter().chain(std::iter::repeat_n(u32::MAX, BITMASK));
    let words = words.chain(first(AUDIT_UID)).chain(first(NOBODY)).chain(first(AUDIT_EQUAL));
    // No string follows.
    words.chain([0]).flat_map(u32::to_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_back_and_a_longer_one_is_read_too() {
        let status = Status { mask: 1, enabled: 2, lost: 7, backlog: 8, ..Status::default() };
        let mut bytes = status.to_bytes();
        // Kernels since 6.0 send more fields.
        bytes.extend([0xff; 16]);
        let read = Status::from_bytes(&bytes).unwrap();
        assert_eq!((read.mask, read.enabled, read.lost, read.backlog), (1, 2, 7, 8));
        assert!(Status::from_bytes(&bytes[..31]).is_none());
    }
}
