//! Being the audit daemon: the netlink protocol of `include/uapi/linux/audit.h`.

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

use crate::error::{Doing, Error, Result};

const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
/// A message from user space; `audit_receive_msg()` puts it into the queue like a record, and this kind even
/// while audit is not enabled.
const AUDIT_USER_AVC: u16 = 1107;
/// Not a record but an answer, from this type downwards (`AUDIT_FIRST_USER_MSG` is above it).
const LAST_CONTROL: u16 = 1099;

const STATUS_ENABLED: u32 = 0x01;
const STATUS_FAILURE: u32 = 0x02;
const STATUS_PID: u32 = 0x04;
const STATUS_RATE_LIMIT: u32 = 0x08;
const STATUS_BACKLOG_LIMIT: u32 = 0x10;
const STATUS_LOST: u32 = 0x40;

/// `AUDIT_FEATURE_BITMAP_LOST_RESET`: `lost` can be taken away (Linux 4.11).
const FEATURE_LOST_RESET: u32 = 0x20;

/// `AUDIT_FAIL_PRINTK`: what is lost is also said in the kernel's log.
const FAIL_PRINTK: u32 = 1;
/// A cell makes some tens of records; a lane none that the agent does not take away.
const BACKLOG: u32 = 8192;
/// `MAX_AUDIT_MESSAGE_LENGTH` (8970) and a header, rounded up.
const LONGEST: usize = 9216;
/// Only a kernel that no longer runs kauditd reaches it.
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
    /// Only read.
    features: u32,
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
            features: next().unwrap_or(0),
        })
    }
}

/// The audit socket of a registered daemon.
pub(crate) struct Audit {
    socket: OwnedFd,
    sequence: u32,
    buffer: Box<[u8; LONGEST]>,
    /// Records that came while an answer was waited for.
    waiting: VecDeque<Record>,
    before: Status,
    registered: bool,
    enabled: bool,
    /// Whether audit is enabled unless a cell says otherwise.
    usually: bool,
    rule: bool,
    /// A cell set how many records may wait.
    narrowed: bool,
    /// The `lost` counter when it was last read.
    lost: u32,
    /// Whether the kernel is told to forget the daemon at the end.
    put_back: bool,
}

/// One end of a cell in the stream of records. `kauditd` keeps the queue's order, so when a mark has
/// arrived everything queued before it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Audit {
    /// Opens the socket and reads the status.
    ///
    /// # Errors
    ///
    /// When the kernel has no audit, or was booted with `audit=0` (then there is no kernel socket).
    pub(crate) fn open(put_back: bool) -> Result<Self> {
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
            before: Status::default(),
            registered: false,
            enabled: true,
            usually: true,
            rule: false,
            narrowed: false,
            lost: 0,
            put_back,
        };
        audit.before = audit.status()?;
        Ok(audit)
    }

    /// Becomes the audit daemon with nothing thrown away, and enables audit if that is `wanted`: it cannot be
    /// undone, since every task forked after that has a context.
    pub(crate) fn register(&mut self, wanted: bool) -> Result<()> {
        let own = std::process::id();
        if self.before.pid != 0 {
            return Err(Error::new(
                "register as audit daemon",
                format_args!("process {} is registered", self.before.pid),
            ));
        }
        self.set(Status {
            mask: STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT,
            failure: FAIL_PRINTK,
            backlog_limit: self.room(),
            ..Status::default()
        })
        .doing("lift the limits of audit")?;
        self.set(Status { mask: STATUS_PID, pid: own, ..Status::default() })
            .doing("register as audit daemon")?;
        self.registered = true;
        self.usually = wanted;
        // From what the kernel has to what is wanted, whatever the kernel has.
        self.enabled = self.before.enabled != 0;
        self.enable(wanted)
    }

    /// Reads back what `register` asked for.
    pub(crate) fn facts(&mut self) -> Result<AuditFacts> {
        let Status { enabled, pid, rate_limit, backlog_limit, lost, .. } = self.status()?;
        Ok(AuditFacts { enabled, pid, rate_limit, backlog_limit, lost })
    }

    /// How many records have been lost since this was asked last. Asked when everything of a cell has
    /// arrived, it covers the cell and what was done to set it up.
    pub(crate) fn lost(&mut self) -> Result<u32> {
        // For the answer to AUDIT_GET the kernel starts a thread (`audit_send_reply()`), which costs as
        // much as all records of a cell. Taking the counter away, its value comes in the acknowledgement;
        // but on a machine that lives on it belongs to others.
        if self.before.features & FEATURE_LOST_RESET != 0 && !self.put_back {
            let status = Status { mask: STATUS_LOST, ..Status::default() };
            return self.set(status).doing("take away the count of lost records");
        }
        let now = self.status()?.lost;
        Ok(now.wrapping_sub(std::mem::replace(&mut self.lost, now)))
    }

    /// Puts a mark into the queue: it stands behind every record that exists now.
    pub(crate) fn mark(&mut self, name: impl std::fmt::Display) -> Result<Mark> {
        let text = format!("perfsec {} {name}", std::process::id());
        // audit_receive_msg() overwrites the last byte with a NUL.
        self.send(AUDIT_USER_AVC, 0, format!("{text}\0").as_bytes())
            .doing("mark the audit records")?;
        Ok(Mark(format!("msg='{text}'")))
    }

    /// Waits for the `end` mark and returns the records between the marks; those before `begin` are
    /// forgotten.
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

    /// Sets whether syscalls are audited; AVC records are written either way.
    pub(crate) fn enable(&mut self, wanted: bool) -> Result<()> {
        if self.enabled == wanted {
            return Ok(());
        }
        let enabled = wanted.into();
        self.set(Status { mask: STATUS_ENABLED, enabled, ..Status::default() })
            .doing("set whether audit is enabled")?;
        self.enabled = wanted;
        Ok(())
    }

    /// Loads a rule that no syscall matches: `exit,always` on an event of a user id that nobody has.
    pub(crate) fn add_rule(&mut self) -> Result<()> {
        self.request(AUDIT_ADD_RULE, &rule()).doing("add an audit rule")?;
        self.rule = true;
        Ok(())
    }

    /// Sets how many records may wait.
    pub(crate) fn set_backlog(&mut self, limit: u32) -> Result<()> {
        let mask = STATUS_BACKLOG_LIMIT;
        self.set(Status { mask, backlog_limit: limit, ..Status::default() })
            .doing("set the backlog limit of audit")?;
        self.narrowed = limit != self.room();
        Ok(())
    }

    /// How many records may wait unless a cell says otherwise.
    fn room(&self) -> u32 {
        self.before.backlog_limit.max(BACKLOG)
    }

    /// Undoes what a cell did to audit.
    pub(crate) fn put_back(&mut self) -> Result<()> {
        self.enable(self.usually)?;
        if self.narrowed {
            self.set_backlog(self.room())?;
        }
        if std::mem::take(&mut self.rule) {
            self.request(AUDIT_DEL_RULE, &rule()).doing("remove an audit rule")?;
        }
        Ok(())
    }

    /// Changes something; the number in the acknowledgement comes back.
    fn set(&mut self, status: Status) -> nix::Result<u32> {
        self.request(AUDIT_SET, &status.to_bytes())
    }

    fn request(&mut self, kind: u16, payload: &[u8]) -> nix::Result<u32> {
        let sequence = self.send(kind, libc::NLM_F_ACK as u16, payload)?;
        let answer = self.answer(sequence)?;
        Ok(answer.first_chunk().map_or(0, |number| u32::from_ne_bytes(*number)))
    }

    fn status(&mut self) -> Result<Status> {
        let doing = "read the status of audit";
        let sequence = self.send(AUDIT_GET, 0, &[]).doing(doing)?;
        let answer = self.answer(sequence).doing(doing)?;
        Status::from_bytes(&answer).ok_or_else(|| Error::new(doing, "the answer is too short"))
    }

    /// The answer to a request; that of an acknowledgement begins with a number that is not negative.
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

    /// One message: sequence, type, payload. kauditd sends each in a datagram of its own, and what
    /// it puts into `nlmsg_len` varies, so the length is that of the datagram.
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
        // ENOBUFS says that the socket overran: a record is gone, and the caller must know.
        let (header, payload) =
            self.buffer[..got?].split_at_checked(HEADER).ok_or(Errno::EPROTO)?;
        let word =
            |at: usize| header[at..].first_chunk::<4>().map_or(0, |w| u32::from_ne_bytes(*w));
        Ok((word(8), word(4) as u16, payload))
    }
}

fn record(kind: u16, payload: &[u8]) -> Record {
    Record { kind, text: String::from_utf8_lossy(payload).trim_end_matches('\0').to_owned() }
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

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.registered || !self.put_back {
            return;
        }
        // Nobody is left to be told when one of these fails.
        let _ = self.set(Status {
            mask: STATUS_ENABLED | STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT,
            ..self.before
        });
        let _ = self.set(Status { mask: STATUS_PID, ..Status::default() });
    }
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
