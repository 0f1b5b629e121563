//! Puts the records of a log together: joins broken ones and finds the system call of each.

use std::collections::{HashMap, VecDeque};

use super::extent::{event, pieces};
use super::forms::Form;
use super::{AuditedCall, Denial, Log, Notice, SysAdminReason};

/// The number of events to remember until their last record. It follows closely, if at all.
const WAITING: usize = 4096;

/// The longest time in seconds between records of one call that have different serials.
const ONE_CALL: f64 = 0.1;

/// The largest number of lines that a broken record can have.
const BROKEN: usize = 12;

/// Types of the records beside an AVC record, which can begin a line alone.
const TYPES: [&str; 8] =
    ["PROCTITLE", "PATH", "CWD", "EXECVE", "SOCKADDR", "BPF", "MAC_STATUS", "MAC_POLICY_LOAD"];

/// The state between two lines.
#[derive(Default)]
pub(super) struct Assembler {
    /// The log so far.
    pub(super) log: Log,
    /// The last events, by their time and serial or, in forms without those, by the process.
    events: HashMap<String, Event>,
    /// The keys of `events`, the oldest first.
    order: VecDeque<String>,
    /// A record that may continue on the next line.
    held: Option<PartialRecord>,
    /// The last record of each process.
    last: HashMap<u32, PreviousRecord>,
}

/// The records of one event so far.
#[derive(Default)]
struct Event {
    call: Option<AuditedCall>,
    comm: Option<String>,
    paths: Vec<String>,
    /// The groups of its AVC records.
    places: Vec<usize>,
}

/// A record that a mail client may have broken at a space.
struct PartialRecord {
    form: Form,
    /// The first line.
    first: String,
    /// All lines so far, joined.
    text: String,
    /// Number of lines so far.
    lines: usize,
}

/// The previous record of the same process.
struct PreviousRecord {
    denial: Denial,
    event: Option<String>,
    place: usize,
}

/// A record of a form that does not have the kernel's text.
pub(super) struct Summary {
    pub(super) denial: Denial,
    pub(super) event: Option<String>,
    pub(super) call: Option<AuditedCall>,
}

impl Assembler {
    /// Takes a line of text, which can have several records or a part of one.
    pub(super) fn text(&mut self, form: Form, line: &str) {
        for piece in pieces(line) {
            self.piece(form, piece);
        }
    }

    /// Takes the text of a whole record.
    pub(super) fn record(&mut self, form: Form, text: &str) {
        self.release();
        self.line(form, text);
    }

    /// Takes a record without the kernel's text.
    pub(super) fn summary(&mut self, form: Form, summary: Summary) {
        self.release();
        let event = summary.event.as_deref();
        self.log.forms.count(form, event);
        self.denial(summary.denial, event, summary.call);
    }

    /// Takes a line that was recognised and says nothing about perf.
    pub(super) fn other(&mut self, form: Form) {
        self.release();
        self.log.other += 1;
        self.log.forms.count(form, None);
    }

    /// Takes a line that only separates others.
    pub(super) fn separator(&mut self) {
        self.release();
        self.log.other += 1;
    }

    /// Takes a line that no form has.
    pub(super) fn unread(&mut self, line: &str) {
        self.log.other += 1;
        self.log.add_unread(line);
    }

    /// Handles one record, or a part of one.
    fn piece(&mut self, form: Form, line: &str) {
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
        let held = PartialRecord { form, first: line.to_owned(), text: line.to_owned(), lines: 1 };
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
            self.line(held.form, &held.text);
        }
    }

    /// Handles the record that was held back, complete or not.
    pub(super) fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        if matches!(Denial::parse(&held.text), Some(Ok(_))) {
            self.line(held.form, &held.text);
        } else {
            self.line(held.form, &held.first);
            self.log.other += held.lines - 1;
        }
    }

    fn line(&mut self, form: Form, line: &str) {
        match Denial::parse(line) {
            Some(Ok(denial)) => {
                let event = event(line);
                self.log.forms.count(form, event);
                self.denial(denial, event, None);
            }
            Some(Err(error)) => {
                self.log.damaged += 1;
                self.log.damage.get_or_insert(error);
            }
            None => self.no_denial(form, line),
        }
    }

    fn no_denial(&mut self, form: Form, line: &str) {
        let event = event(line);
        if let Some(notice) = Notice::parse(line) {
            self.log.forms.count(form, event);
            self.log.add_notice(notice);
            return;
        }
        if line.contains("arch=")
            && let Some(call) = AuditedCall::parse(line)
        {
            self.log.other += 1;
            self.log.forms.count(form, event);
            self.call(event, line, call);
        } else if let Some(kind) = record_type(line) {
            self.log.other += 1;
            self.log.forms.count(form, event);
            if matches!(kind, "PATH" | "1302")
                && let Some(path) = path(line)
            {
                self.path(event, path);
            }
        } else if is_separator(line) {
            self.log.other += 1;
        } else if line.contains("SELinux: ") {
            // One of the kernel's other messages.
            self.log.other += 1;
            self.log.forms.count(form, event);
        } else {
            self.unread(line);
        }
    }

    fn denial(&mut self, mut denial: Denial, event: Option<&str>, call: Option<AuditedCall>) {
        let key = key(event, denial.pid);
        let known = key.as_deref().and_then(|key| self.events.get(key));
        // Without a serial, a record after the SYSCALL record is of the next call.
        let known = known.filter(|known| event.is_some() || known.call.is_none());
        let paths = known.map(|known| known.paths.clone()).unwrap_or_default();
        let call = call.or_else(|| known.and_then(|known| known.call.clone()));
        let is_new = known.is_none();
        let before = denial.pid.and_then(|pid| self.last.remove(&pid));
        let before = before.filter(|before| self.may_be_one_call(before, &denial, event));
        if let Some(before) = before {
            self.pair(&before, &mut denial, event, call.as_ref());
        }
        let place = self.log.add(denial.clone(), call);
        self.log.groups[place].add_paths(paths);
        if let Some(pid) = denial.pid {
            if self.last.len() >= WAITING {
                self.last.clear();
            }
            let event = event.map(str::to_owned);
            self.last.insert(pid, PreviousRecord { denial, event, place });
        }
        if let Some(key) = key {
            if is_new {
                self.forget(&key);
            }
            self.event(key).places.push(place);
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
                let has_call = |event| self.events.get(event).is_some_and(|it| it.call.is_some());
                let time = |event: &str| event.split(':').next()?.parse::<f64>().ok();
                let near = time(first).zip(time(second)).map(|(a, b)| (a - b).abs() < ONE_CALL);
                !has_call(first) && !has_call(second) && near == Some(true)
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
            if let Some(known) = event.and_then(|event| self.events.get_mut(event)) {
                known.places.push(place);
            }
        }
    }

    /// The event of this key, added if it is new.
    fn event(&mut self, key: String) -> &mut Event {
        if !self.events.contains_key(&key) {
            if self.order.len() >= WAITING
                && let Some(oldest) = self.order.pop_front()
            {
                self.forget(&oldest);
            }
            self.order.push_back(key.clone());
        }
        self.events.entry(key).or_default()
    }

    /// Forgets an event; keeps its call if no AVC record explains it.
    fn forget(&mut self, key: &str) {
        let Some(Event { call: Some(call), comm, places, .. }) = self.events.remove(key) else {
            return;
        };
        if places.is_empty() {
            self.log.add_call(comm, call);
        }
    }

    fn call(&mut self, event: Option<&str>, line: &str, call: AuditedCall) {
        let Some(key) = key(event, number(line, "pid")) else {
            self.log.add_call(comm(line), call);
            return;
        };
        if event.is_none() && self.events.get(&key).is_some_and(|known| known.call.is_some()) {
            self.forget(&key);
        }
        let comm = comm(line);
        let known = self.event(key);
        known.call = Some(call.clone());
        known.comm = comm;
        let places = known.places.clone();
        for place in places {
            self.log.groups[place].calls.insert(call.clone());
        }
    }

    fn path(&mut self, event: Option<&str>, path: String) {
        let Some(event) = event else { return };
        let known = self.event(event.to_owned());
        known.paths.push(path.clone());
        let places = known.places.clone();
        for place in places {
            self.log.groups[place].add_paths([path.clone()]);
        }
    }

    /// Ends the log.
    pub(super) fn finish(mut self) -> Log {
        self.release();
        for key in std::mem::take(&mut self.order) {
            self.forget(&key);
        }
        self.log.finish()
    }
}

/// The key of an event: its time and serial, or else the process.
fn key(event: Option<&str>, pid: Option<u32>) -> Option<String> {
    match event {
        Some(event) => Some(event.to_owned()),
        None => Some(format!("process {}", pid?)),
    }
}

/// The type of an audit record that a line begins with.
fn record_type(line: &str) -> Option<&str> {
    let kind = if let (Some((_, rest)), true) = (line.split_once("type="), line.contains("audit("))
    {
        rest
    } else {
        // As the journal has it: `audit[89]: PROCTITLE proctitle=…`, with `-o cat` without the head.
        match line.split_once("audit[").and_then(|(_, rest)| rest.split_once("]: ")) {
            Some((_, rest)) => rest,
            None => TYPES
                .iter()
                .find(|kind| line.strip_prefix(**kind).is_some_and(|rest| rest.starts_with(' ')))?,
        }
    };
    let kind = kind.split([' ', '[']).next()?;
    let is_type = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!kind.is_empty() && kind.chars().all(is_type)).then_some(kind)
}

/// True for lines that ausearch prints between events, and blank ones.
fn is_separator(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("time->") || line.chars().all(|c| matches!(c, '-' | '='))
}

/// A field of a record.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split([' ', '\u{1d}']).find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn number(line: &str, key: &str) -> Option<u32> {
    field(line, key)?.parse().ok()
}

/// The program's name, from a record with or without encoding.
fn comm(line: &str) -> Option<String> {
    let value = field(line, "comm")?;
    Some(match (value.strip_prefix('"'), crate::unhex(value)) {
        (Some(quoted), _) => quoted.trim_end_matches('"').to_owned(),
        (None, Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        (None, None) => value.to_owned(),
    })
}

/// The path of a file below `/proc`, the only ones that matter to perf.
fn path(line: &str) -> Option<String> {
    let name = field(line, "name")?.trim_matches('"');
    name.starts_with("/proc/").then(|| name.to_owned())
}
