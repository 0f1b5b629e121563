//! Audit records, as the audit daemon or beside it: the netlink protocol of
//! `include/uapi/linux/audit.h`.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto,
    setsockopt, socket, sockopt,
};
use perfsec_wire::message::{AuditFacts, AuditMeans};
use perfsec_wire::observation::Record;
use perfsec_wire::record_types;
use perfsec_wire::step::{AuditRule, Excluded, RuleSyscall};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorContext, Result};
use crate::here::journal;

const AUDIT_GET: u16 = 1000;
const AUDIT_SET: u16 = 1001;
const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;
const AUDIT_LIST_RULES: u16 = 1013;
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

/// `AUDIT_NLGRP_READLOG`, the multicast group of records. The number of a group is that of its bit,
/// from 1.
const READLOG: u32 = 1;

/// `AUDIT_LOCKED`, the value of `enabled` that cannot be changed.
const LOCKED: u32 = 2;

/// `AUDIT_FAIL_PRINTK`: the kernel also logs that it lost records.
const FAIL_PRINTK: u32 = 1;
/// Queue length. A cell makes some tens of records, and the agent receives all of them.
const BACKLOG: u32 = 8192;
/// `MAX_AUDIT_MESSAGE_LENGTH` (8970) and a header, rounded up.
const LONGEST: usize = 9216;
/// Timeout in milliseconds, which only a kernel whose kauditd has died reaches.
const DEAD_MS: u16 = 20_000;

/// `struct audit_status` up to the fields that every supported kernel has. The kernel ignores those
/// of AUDIT_SET that `mask` does not name.
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
    features: u32,
    backlog_wait_time: u32,
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
            self.features,
            self.backlog_wait_time,
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
            features: next()?,
            backlog_wait_time: next()?,
        })
    }
}

/// The limits of audit, as far as the agent changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) enabled: u32,
    pub(crate) failure: u32,
    pub(crate) rate_limit: u32,
    pub(crate) backlog_limit: u32,
}

impl From<Status> for Limits {
    fn from(status: Status) -> Self {
        let Status { enabled, failure, rate_limit, backlog_limit, .. } = status;
        Self { enabled, failure, rate_limit, backlog_limit }
    }
}

/// Sets the limits of audit, if it has others, and reads them back.
pub(crate) fn set_limits(limits: &Limits) -> Result<()> {
    let mut audit = Audit::open()?;
    if Limits::from(audit.boot) == *limits {
        return Ok(());
    }
    let Limits { enabled, failure, rate_limit, backlog_limit } = *limits;
    let mask = STATUS_ENABLED | STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT;
    let wanted = Status { mask, enabled, failure, rate_limit, backlog_limit, ..Status::default() };
    audit.set(wanted).doing("set the limits of audit")?;
    match Limits::from(audit.status()?) {
        now if now == *limits => Ok(()),
        now => Err(Error::new("set the limits of audit", format_args!("they are {now:?}"))),
    }
}

/// Makes the kernel have no audit daemon, unless it has a live one by now.
pub(crate) fn dismiss_daemon() -> Result<()> {
    let mut audit = Audit::open()?;
    let pid = audit.boot.pid;
    if pid == 0 || std::path::Path::new(&format!("/proc/{pid}")).exists() {
        return Ok(());
    }
    audit
        .set(Status { mask: STATUS_PID, ..Status::default() })
        .doing("dismiss the audit daemon that has ended")
}

/// Deletes a rule, if it is loaded.
pub(crate) fn delete_rule(rule: &[u8]) -> Result<()> {
    match Audit::open()?.request(AUDIT_DEL_RULE, rule) {
        Err(Errno::ENOENT) => Ok(()),
        deleted => deleted.doing("delete an audit rule"),
    }
}

/// The audit socket of a registered daemon, or one that listens to what a daemon gets.
pub(crate) struct Audit {
    /// Requests, their answers, and a daemon's records.
    socket: OwnedFd,
    /// The records of a listener.
    listener: Option<OwnedFd>,
    /// The daemon that a listener found registered.
    daemon: u32,
    sequence: u32,
    buffer: Box<[u8; LONGEST]>,
    /// Records that arrived before the answer to a request.
    waiting: VecDeque<Record>,
    /// The status at boot.
    boot: Status,
    enabled: bool,
    /// True if audit is enabled between cells.
    enabled_by_default: bool,
    /// The rules that a cell loaded.
    rules: Vec<Vec<u8>>,
    /// A cell changed the backlog limit.
    limited: bool,
    /// The `lost` counter as far as cells have reported it.
    lost: u32,
}

/// One end of a cell in the stream of records. `kauditd` keeps the order of the queue: when a mark
/// has arrived, so has everything queued before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// True for the record that is the mark.
    pub(crate) fn is(&self, record: &Record) -> bool {
        record.kind == AUDIT_USER_AVC && record.text.ends_with(&self.0)
    }
}

impl Audit {
    /// Opens the socket and reads the status.
    ///
    /// # Errors
    ///
    /// If the kernel has no audit, or was booted with `audit=0` (then it has no kernel socket).
    pub(crate) fn open() -> Result<Self> {
        let mut audit = Self {
            socket: open_socket()?,
            listener: None,
            daemon: 0,
            sequence: 0,
            buffer: Box::new([0; LONGEST]),
            waiting: VecDeque::new(),
            boot: Status::default(),
            enabled: true,
            enabled_by_default: true,
            rules: Vec::new(),
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
        self.lift_limits()?;
        journal::note_daemon()?;
        self.set(Status { mask: STATUS_PID, pid: own, ..Status::default() })
            .doing("register as audit daemon")?;
        self.enabled_by_default = wanted;
        self.enabled = self.boot.enabled != 0;
        self.enable(wanted)
    }

    /// Listens beside the daemon that is registered, or registers if none is.
    ///
    /// # Errors
    ///
    /// If audit is locked, or as for the two.
    pub(crate) fn join(&mut self, wanted: bool) -> Result<()> {
        if self.boot.enabled == LOCKED {
            let why = "its settings are locked until the next boot (`auditctl -e 2`)";
            return Err(Error::new("change the limits of audit", why));
        }
        if self.rules()?.iter().any(|rule| hides(rule)) {
            let why = "an audit rule of this machine hides some (`auditctl -l` lists it as `never` \
                       or `exclude`); delete it for the run";
            return Err(Error::new("see every audit record", why));
        }
        journal::note_audit(self.boot.into())?;
        if self.boot.pid == 0 { self.register(wanted) } else { self.listen(wanted) }
    }

    /// The rules that are loaded, each a `struct audit_rule_data`.
    fn rules(&mut self) -> Result<Vec<Vec<u8>>> {
        let doing = "list the audit rules";
        let sequence = self.send(AUDIT_LIST_RULES, 0, &[]).doing(doing)?;
        let mut rules = Vec::new();
        loop {
            match self.reply(sequence).doing(doing)? {
                (AUDIT_LIST_RULES, rule) => rules.push(rule),
                _ => return Ok(rules),
            }
        }
    }

    /// Listens to the records that the registered daemon gets, and enables audit if `wanted`. The
    /// kernel sends each record to listeners first, in the same order (`kauditd_send_queue()`).
    ///
    /// # Errors
    ///
    /// If no daemon is registered, or the group cannot be joined.
    pub(crate) fn listen(&mut self, wanted: bool) -> Result<()> {
        let Status { pid, enabled, .. } = self.status()?;
        if pid == 0 {
            return Err(Error::new("listen beside the audit daemon", "none runs: auditd is dead"));
        }
        let listener = open_socket()?;
        let group = NetlinkAddr::new(0, 1 << (READLOG - 1));
        bind(listener.as_raw_fd(), &group).doing("join the multicast group of audit records")?;
        (self.daemon, self.listener) = (pid, Some(listener));
        self.lift_limits()?;
        self.enabled_by_default = wanted;
        self.enabled = enabled != 0;
        self.enable(wanted)
    }

    /// Lifts the limits that drop records.
    fn lift_limits(&mut self) -> Result<()> {
        self.set(Status {
            mask: STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT,
            failure: FAIL_PRINTK,
            backlog_limit: self.default_backlog(),
            ..Status::default()
        })
        .doing("lift the limits of audit")
    }

    /// Restores the limits at boot; the kernel then prints records to its log again.
    pub(crate) fn unregister(&mut self) {
        let limits = STATUS_FAILURE | STATUS_RATE_LIMIT | STATUS_BACKLOG_LIMIT;
        // A guest whose audit cannot be restored is still good for a shell.
        let _ = self.set(Status { mask: limits, ..self.boot });
        if self.listener.take().is_none() {
            let _ = self.set(Status { mask: STATUS_PID, ..Status::default() });
        }
    }

    /// Reads back the effect of `register`.
    pub(crate) fn facts(&mut self) -> Result<AuditFacts> {
        let Status { enabled, pid, rate_limit, backlog_limit, lost, .. } = self.status()?;
        self.lost = lost;
        let means = match self.listener {
            Some(_) => AuditMeans::Multicast,
            None => AuditMeans::Daemon,
        };
        Ok(AuditFacts { enabled, pid, rate_limit, backlog_limit, lost, means })
    }

    /// The parameters at boot, in the order of `struct audit_status`.
    pub(crate) fn boot_parameters(&self) -> String {
        let Status { enabled, failure, rate_limit, backlog_limit, backlog_wait_time, .. } =
            self.boot;
        format!(
            "enabled={enabled} failure={failure} rate_limit={rate_limit} \
             backlog_limit={backlog_limit} backlog_wait_time={backlog_wait_time}"
        )
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
    /// If the kernel lost records silently, or the daemon has ended that the agent listens beside.
    pub(crate) fn check_lost(&mut self, logged: u32) -> Result<()> {
        let Status { lost: counter, pid, .. } = self.status()?;
        if self.listener.is_some() && pid != self.daemon {
            let (before, now) = (self.daemon, pid);
            self.daemon = now;
            let detail = match now {
                0 => format!("it has ended (process {before}); no audit daemon runs"),
                _ => format!("process {now} has replaced process {before}"),
            };
            return Err(Error::new("keep the audit daemon, auditd, running", detail));
        }
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
            let record = self.next()?;
            if begin.is(&record) {
                records = Some(Vec::new());
            } else if end.is(&record) {
                return records.ok_or_else(|| {
                    Error::new("receive every audit record", "the mark before the steps is missing")
                });
            } else if let Some(records) = &mut records {
                records.push(record);
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

    /// Loads a rule.
    pub(crate) fn add_rule(&mut self, rule: &AuditRule) -> Result<()> {
        self.load(encode(rule))
    }

    /// Loads a rule that excludes a type of record.
    pub(crate) fn exclude(&mut self, kind: Excluded) -> Result<()> {
        self.load(encode_exclude(kind))
    }

    fn load(&mut self, rule: Vec<u8>) -> Result<()> {
        journal::note_rule(&rule)?;
        self.request(AUDIT_ADD_RULE, &rule).doing("add an audit rule")?;
        self.rules.push(rule);
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
        let mut result = Ok(());
        for rule in std::mem::take(&mut self.rules) {
            let removed = match self.request(AUDIT_DEL_RULE, &rule) {
                // The kernel removes a rule when the directory goes that it watches.
                Err(Errno::ENOENT) => Ok(()),
                removed => removed,
            };
            result = result.and(removed.doing("remove an audit rule"));
        }
        result
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

    /// The answer to a request.
    fn answer(&mut self, sequence: u32) -> nix::Result<Vec<u8>> {
        self.reply(sequence).map(|(_, payload)| payload)
    }

    /// The next message in answer to a request, with its type. An acknowledgement begins with a
    /// number that is not negative.
    fn reply(&mut self, sequence: u32) -> nix::Result<(u16, Vec<u8>)> {
        loop {
            let (header, kind, payload) = datagram(&self.socket, &mut self.buffer)?;
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
            return Ok((kind, payload.to_vec()));
        }
    }

    /// The next record.
    fn next(&mut self) -> Result<Record> {
        if let Some(record) = self.waiting.pop_front() {
            return Ok(record);
        }
        let source = self.listener.as_ref().unwrap_or(&self.socket);
        loop {
            let (_, kind, payload) =
                datagram(source, &mut self.buffer).doing("receive every audit record")?;
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
}

/// A socket that speaks audit's protocol, with room for some thousand records.
fn open_socket() -> Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkAudit,
    )
    .doing("open an audit socket")?;
    setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).doing("size the audit socket")?;
    Ok(socket)
}

/// One message: sequence, type, payload. kauditd sends one message per datagram and does not always
/// set `nlmsg_len` to its length, so the length is that of the datagram.
fn datagram<'a>(
    socket: &OwnedFd,
    buffer: &'a mut [u8; LONGEST],
) -> nix::Result<(u32, u16, &'a [u8])> {
    const HEADER: usize = size_of::<libc::nlmsghdr>();
    let mut got = recv(socket.as_raw_fd(), &mut buffer[..], MsgFlags::MSG_DONTWAIT);
    if got == Err(Errno::EAGAIN) {
        let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::from(DEAD_MS))? == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        got = recv(socket.as_raw_fd(), &mut buffer[..], MsgFlags::MSG_DONTWAIT);
    }
    // ENOBUFS: the socket overran and records are lost (`netlink_overrun()`), which the caller must
    // report.
    let (header, payload) = buffer[..got?].split_at_checked(HEADER).ok_or(Errno::EPROTO)?;
    let word = |at: usize| header[at..].first_chunk::<4>().map_or(0, |w| u32::from_ne_bytes(*w));
    Ok((word(8), word(4) as u16, payload))
}

fn record(kind: u16, payload: &[u8]) -> Record {
    // Nearly always valid, and `from_utf8()` checks words where `from_utf8_lossy()` checks bytes.
    let text = match str::from_utf8(payload) {
        Ok(text) => text.trim_end_matches('\0').to_owned(),
        Err(_) => String::from_utf8_lossy(payload).trim_end_matches('\0').to_owned(),
    };
    Record { kind, text }
}

/// Words of a bit for each syscall (`AUDIT_BITMASK_SIZE`).
const BITMASK: usize = 64;

/// `-a exit,always -F arch=b64 -S SYSCALL`, or without a syscall `-S all -F uid=4294967294`, which
/// no process has; with `-F path=WATCH`.
fn encode(rule: &AuditRule) -> Vec<u8> {
    const FILTER_EXIT: u32 = 4;
    const UID: u32 = 1;
    const ARCH: u32 = 11;
    const WATCH: u32 = 105;
    const FILTERKEY: u32 = 210;
    const NOBODY: u32 = u32::MAX - 1;
    const ARCH_X86_64: u32 = 0xc000_003e;
    let mut mask = [0; BITMASK];
    let mut fields = Vec::new();
    match rule.syscall.map(number) {
        Some(number) => {
            mask[number / 32] = 1 << (number % 32);
            fields.push((ARCH, ARCH_X86_64));
        }
        None => {
            mask.fill(u32::MAX);
            fields.push((UID, NOBODY));
        }
    }
    // The value of a string is its length; the strings follow behind.
    let mut strings = Vec::new();
    for (field, text) in [(WATCH, &rule.watch), (FILTERKEY, &rule.key)] {
        let text = text.as_deref().unwrap_or_default();
        if !text.is_empty() {
            fields.push((field, text.len() as u32));
            strings.extend_from_slice(text.as_bytes());
        }
    }
    rule_data(FILTER_EXIT, mask, &fields, &strings)
}

/// `-a exclude,always -F msgtype=TYPE`
fn encode_exclude(kind: Excluded) -> Vec<u8> {
    const FILTER_EXCLUDE: u32 = 5;
    const MSGTYPE: u32 = 12;
    let kind = match kind {
        Excluded::Avc => record_types::AVC,
        Excluded::BprmFcaps => record_types::BPRM_FCAPS,
        Excluded::Capset => record_types::CAPSET,
        Excluded::Cwd => record_types::CWD,
        Excluded::Eoe => record_types::EOE,
        Excluded::Execve => record_types::EXECVE,
        Excluded::Path => record_types::PATH,
        Excluded::Proctitle => record_types::PROCTITLE,
        Excluded::Syscall => record_types::SYSCALL,
    };
    rule_data(FILTER_EXCLUDE, [u32::MAX; BITMASK], &[(MSGTYPE, kind.into())], &[])
}

/// `struct audit_rule_data` of a rule `always`, whose fields must equal these values.
fn rule_data(filter: u32, mask: [u32; BITMASK], fields: &[(u32, u32)], strings: &[u8]) -> Vec<u8> {
    const ALWAYS: u32 = 2;
    const FIELDS: usize = 64;
    const EQUAL: u32 = 0x4000_0000;
    let column = |value: &dyn Fn(&(u32, u32)) -> u32| {
        let mut column = [0; FIELDS];
        column.iter_mut().zip(fields).for_each(|(to, field)| *to = value(field));
        column
    };
    let head = [filter, ALWAYS, fields.len() as u32];
    let words = head.into_iter().chain(mask).chain(column(&|(kind, _)| *kind));
    let words = words.chain(column(&|(_, value)| *value)).chain(column(&|_| EQUAL));
    let words = words.chain([strings.len() as u32]);
    words.flat_map(u32::to_ne_bytes).chain(strings.iter().copied()).collect()
}

/// True for a rule that may keep records from being written: one with the action `never`, or of the
/// list `exclude`.
fn hides(rule: &[u8]) -> bool {
    const EXCLUDE: u32 = 5;
    /// `AUDIT_FILTER_PREPEND`, a bit beside the number of the list.
    const PREPEND: u32 = 0x10;
    const NEVER: u32 = 0;
    let word = |index: usize| {
        rule.get(4 * index..).and_then(|rest| rest.first_chunk()).map(|it| u32::from_ne_bytes(*it))
    };
    word(0).is_some_and(|list| list & !PREPEND == EXCLUDE) || word(1) == Some(NEVER)
}

/// The number of a syscall.
fn number(syscall: RuleSyscall) -> usize {
    (match syscall {
        RuleSyscall::Bpf => libc::SYS_bpf,
        RuleSyscall::Capset => libc::SYS_capset,
        RuleSyscall::Clone => libc::SYS_clone,
        RuleSyscall::Close => libc::SYS_close,
        RuleSyscall::Execve => libc::SYS_execve,
        RuleSyscall::Ioctl => libc::SYS_ioctl,
        RuleSyscall::Mmap => libc::SYS_mmap,
        RuleSyscall::PerfEventOpen => libc::SYS_perf_event_open,
        RuleSyscall::Prctl => libc::SYS_prctl,
        RuleSyscall::Read => libc::SYS_read,
        RuleSyscall::Setfsuid => libc::SYS_setfsuid,
        RuleSyscall::Setresuid => libc::SYS_setresuid,
        RuleSyscall::Unshare => libc::SYS_unshare,
    }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(rule: &[u8], index: usize) -> u32 {
        u32::from_ne_bytes(*rule[4 * index..].first_chunk().unwrap())
    }

    /// Words of `struct audit_rule_data`.
    const MASK: usize = 3;
    const KINDS: usize = MASK + 64;
    const VALUES: usize = KINDS + 64;
    const LENGTH: usize = VALUES + 128;

    #[test]
    fn the_strings_of_a_rule_follow_each_other() {
        let [watch, key] = ["/tmp/a", "watch"].map(|text| Some(text.to_owned()));
        let rule = encode(&AuditRule { watch, key, ..AuditRule::default() });
        // Behind the field that matches no process.
        assert_eq!((word(&rule, KINDS + 1), word(&rule, VALUES + 1)), (105, 6));
        assert_eq!((word(&rule, KINDS + 2), word(&rule, VALUES + 2)), (210, 5));
        assert_eq!(
            (word(&rule, LENGTH), &rule[4 * (LENGTH + 1)..]),
            (11, b"/tmp/awatch".as_slice())
        );
    }

    #[test]
    fn a_rule_names_its_syscall_and_its_key() {
        let syscall = Some(RuleSyscall::PerfEventOpen);
        let key = Some("perfsec".to_owned());
        let rule = encode(&AuditRule { syscall, key, ..AuditRule::default() });
        assert_eq!((word(&rule, 2), word(&rule, MASK + 9)), (2, 1 << 10));
        assert_eq!((word(&rule, KINDS), word(&rule, VALUES)), (11, 0xc000_003e));
        assert_eq!((word(&rule, KINDS + 1), word(&rule, VALUES + 1)), (210, 7));
        assert_eq!((word(&rule, LENGTH), &rule[4 * (LENGTH + 1)..]), (7, b"perfsec".as_slice()));
    }

    #[test]
    fn a_rule_without_a_syscall_matches_no_process() {
        let rule = encode(&AuditRule::default());
        assert_eq!((word(&rule, 2), word(&rule, MASK)), (1, u32::MAX));
        assert_eq!((word(&rule, KINDS), word(&rule, VALUES)), (1, u32::MAX - 1));
        assert_eq!(rule.len(), 4 * (LENGTH + 1));
    }

    #[test]
    fn a_rule_excludes_a_type_of_record() {
        let rule = encode_exclude(Excluded::Avc);
        assert_eq!([0, 1, 2].map(|index| word(&rule, index)), [5, 2, 1]);
        assert_eq!((word(&rule, KINDS), word(&rule, VALUES)), (12, 1400));
    }

    #[test]
    fn a_rule_that_is_never_or_excludes_hides_records() {
        // The list `task`, as in `-a task,never`.
        let never = [1u32, 0, 0].map(u32::to_ne_bytes).concat();
        assert!(hides(&never));
        assert!(hides(&encode_exclude(Excluded::Cwd)));
        assert!(!hides(&encode(&AuditRule::default())));
        assert!(!hides(&[]));
    }

    #[test]
    fn a_status_comes_back_and_a_longer_one_is_read_too() {
        let status = Status { mask: 1, enabled: 2, lost: 7, backlog: 8, ..Status::default() };
        let mut bytes = status.to_bytes();
        // Kernels since 6.0 send more fields.
        bytes.extend([0xff; 16]);
        let read = Status::from_bytes(&bytes).unwrap();
        assert_eq!((read.mask, read.enabled, read.lost, read.backlog), (1, 2, 7, 8));
        assert!(Status::from_bytes(&bytes[..39]).is_none());
    }
}
