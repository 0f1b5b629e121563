//! Puts the lines of a log together: joins broken records and finds the system call of each.

use std::collections::{HashMap, VecDeque};

use super::extent::{event, pieces};
use super::{AuditedCall, Denial, Log, SysAdminReason};

/// The number of events that may wait for their SYSCALL record. It follows closely, if at all.
const WAITING: usize = 4096;

/// The longest time in seconds between records of one call that have different serials.
const ONE_CALL: f64 = 0.1;

/// The number of SYSCALL records to remember for AVC records that follow them: ausearch prints the
/// records of an event from the last to the first.
const REMEMBERED: usize = 64;

/// The state between two lines.
#[derive(Default)]
pub(super) struct LogParser {
    /// The log so far.
    pub(super) log: Log,
    /// Groups whose system call is still unknown, by event.
    waiting: HashMap<String, Vec<usize>>,
    /// The system calls of the last events.
    calls: VecDeque<(String, AuditedCall)>,
    /// A record that may continue on the next line.
    held: Option<PartialRecord>,
    /// The last record of each process.
    last: HashMap<u32, PreviousRecord>,
}

/// A record that a mail client may have broken at a space.
struct PartialRecord {
    /// The first line.
    first: String,
    /// All lines so far, joined.
    text: String,
    /// Number of lines so far.
    lines: usize,
}

/// The largest number of lines that a broken record can have.
const BROKEN: usize = 12;

/// The previous record of the same process.
struct PreviousRecord {
    denial: Denial,
    event: Option<String>,
    place: usize,
}

impl LogParser {
    pub(super) fn take(&mut self, line: &str) {
        self.log.lines += 1;
        for piece in pieces(line) {
            self.piece(piece);
        }
    }

    /// Handles one record, or a part of one.
    fn piece(&mut self, line: &str) {
        if let Some(mut held) = self.held.take() {
            let more = line.trim_start_matches(|letter| {
                matches!(letter, '>' | '|' | '\u{a0}') || char::is_whitespace(letter)
            });
            let whole = matches!(Denial::parse(&held.text), Some(Ok(_)));
            let goes_on = match whole {
                true => more.starts_with("permissive="),
                false => {
                    let begins = ["avc:", "type=", "audit(", "----"];
                    !more.is_empty() && !begins.iter().any(|mark| more.contains(mark))
                }
            };
            if goes_on && held.lines < BROKEN {
                held.text = format!("{} {more}", held.text.trim_end());
                held.lines += 1;
                self.hold(held);
                return;
            }
            self.held = Some(held);
            self.release();
        }
        let held = PartialRecord { first: line.to_owned(), text: line.to_owned(), lines: 1 };
        self.hold(held);
    }

    /// Holds a record back until the next line if it may be incomplete.
    fn hold(&mut self, held: PartialRecord) {
        let open = match Denial::parse(&held.text) {
            Some(Ok(denial)) => denial.permissive.is_none() && !denial.granted,
            Some(Err(_)) => true,
            None => false,
        };
        if open {
            self.held = Some(held);
        } else {
            self.line(&held.text);
        }
    }

    /// Handles the record that was held back, complete or not.
    pub(super) fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if matches!(Denial::parse(&held.text), Some(Ok(_))) {
            self.line(&held.text);
        } else {
            self.line(&held.first);
            self.log.other += held.lines - 1;
        }
    }

    fn line(&mut self, line: &str) {
        match Denial::parse(line) {
            Some(Ok(mut denial)) => {
                let event = event(line);
                let call = event.and_then(|event| self.find_call(event));
                let known = call.is_some();
                let before = denial.pid.and_then(|pid| self.last.remove(&pid));
                let before = before.filter(|before| self.may_be_one_call(before, &denial, event));
                if let Some(before) = before {
                    self.pair(&before, &mut denial, event, call.as_ref());
                }
                let place = self.log.add(denial.clone(), call);
                if let Some(pid) = denial.pid {
                    if self.last.len() >= WAITING {
                        self.last.clear();
                    }
                    let event = event.map(str::to_owned);
                    self.last.insert(pid, PreviousRecord { denial, event, place });
                }
                if let (Some(event), false) = (event, known) {
                    if self.waiting.len() >= WAITING {
                        self.waiting.clear();
                    }
                    self.waiting.entry(event.to_owned()).or_default().push(place);
                }
            }
            Some(Err(error)) => {
                self.log.damaged += 1;
                self.log.damage.get_or_insert(error);
            }
            None => {
                self.log.other += 1;
                if let (Some(event), Some(call)) = (event(line), AuditedCall::parse(line)) {
                    self.add_call(event, call);
                }
            }
        }
    }

    /// True if two records may be about the same call of the same process.
    fn may_be_one_call(
        &self,
        before: &PreviousRecord,
        denial: &Denial,
        event: Option<&str>,
    ) -> bool {
        if before.denial.comm != denial.comm || before.denial.source != denial.source {
            return false;
        }
        match (before.event.as_deref(), event) {
            (Some(first), Some(second)) if first != second => {
                // Without an audit context, each record has a different serial and there is no
                // SYSCALL record.
                let has_call = self.find_call(first).is_some() || self.find_call(second).is_some();
                let time = |event: &str| event.split(':').next()?.parse::<f64>().ok();
                let near = time(first).zip(time(second)).map(|(a, b)| (a - b).abs() < ONE_CALL);
                !has_call && near == Some(true)
            }
            _ => true,
        }
    }

    /// Marks a denial of CAP_SYS_ADMIN as the fallback if CAP_PERFMON was refused before.
    fn pair(
        &mut self,
        before: &PreviousRecord,
        denial: &mut Denial,
        event: Option<&str>,
        call: Option<&AuditedCall>,
    ) {
        if before.denial.refuses_perfmon() && denial.denies_sys_admin() {
            denial.sys_admin_reason = SysAdminReason::AfterPerfmon;
        }
        // ausearch prints the records of an event from the last to the first.
        let one_event = event.is_some() && before.event.as_deref() == event;
        let admin = &before.denial;
        if one_event
            && denial.refuses_perfmon()
            && admin.denies_sys_admin()
            && admin.sys_admin_reason == SysAdminReason::Unknown
        {
            let group = &mut self.log.groups[before.place];
            group.count -= 1;
            let paired =
                Denial { sys_admin_reason: SysAdminReason::AfterPerfmon, ..before.denial.clone() };
            let place = self.log.add(paired, call.cloned());
            for waiting in event.and_then(|event| self.waiting.get_mut(event)).into_iter() {
                waiting.push(place);
            }
        }
    }

    fn find_call(&self, event: &str) -> Option<AuditedCall> {
        let found = self.calls.iter().rev().find(|(known, _)| known == event);
        found.map(|(_, call)| call.clone())
    }

    fn add_call(&mut self, event: &str, call: AuditedCall) {
        for place in self.waiting.remove(event).unwrap_or_default() {
            self.log.groups[place].calls.insert(call.clone());
        }
        self.calls.push_back((event.to_owned(), call));
        if self.calls.len() > REMEMBERED {
            self.calls.pop_front();
        }
    }
}
