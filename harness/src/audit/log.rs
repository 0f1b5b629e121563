//! Reads a whole log: groups equal AVC records and finds the system calls that they belong to.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufRead, BufReader};

use crate::foreign::{self, Limited};

use super::{AuditedCall, Context, Denial, MalformedRecord, SysAdminReason};

/// The AVC records of a log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The records in groups, in the order in which each group first appears.
    pub groups: Vec<RecordGroup>,
    /// Number of lines.
    pub lines: usize,
    /// Number of lines that are not AVC records.
    pub other: usize,
    /// Number of lines that begin like an AVC record but are malformed.
    pub damaged: usize,
    /// The error of the first malformed line.
    pub damage: Option<MalformedRecord>,
    /// Number of lines that are longer than any record.
    pub too_long: usize,
    places: HashMap<RecordKey, usize>,
}

/// Records that one rule allows and one explanation covers.
#[derive(Clone, Debug)]
pub struct RecordGroup {
    /// The first record.
    pub denial: Denial,
    /// Number of records.
    pub count: usize,
    /// The ids of their processes, at most 4096.
    pub pids: BTreeSet<u32>,
    /// The system calls that caused them, as far as the log has SYSCALL records.
    pub calls: BTreeSet<AuditedCall>,
}

/// The largest number of groups. A host's log has a few hundred.
const GROUPS: usize = 100_000;

/// The number of events that may wait for their SYSCALL record. It follows closely, if at all.
const WAITING: usize = 4096;

/// The path of a perf event's descriptor.
const PERF_FD: &str = "anon_inode:[perf_event]";

/// The longest time in seconds between records of one call that have different serials.
const ONE_CALL: f64 = 0.1;

/// The number of SYSCALL records to remember for AVC records that follow them: ausearch prints the
/// records of an event from the last to the first.
const REMEMBERED: usize = 64;

impl Log {
    /// Reads a log to its end.
    ///
    /// # Errors
    ///
    /// If reading fails, or the log is too large.
    pub fn read(source: impl BufRead) -> io::Result<Self> {
        let mut source = BufReader::new(Limited::new(source, &foreign::LOG));
        let mut parser = LogParser::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            match next_line(&mut source, &mut line)? {
                NextLine::End => break,
                NextLine::Whole => parser.take(&String::from_utf8_lossy(&line)),
                NextLine::TooLong => {
                    parser.log.lines += 1;
                    parser.log.too_long += 1;
                }
            }
            if parser.log.groups.len() > GROUPS {
                let reason = format!("it has more than {GROUPS} records that differ");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        parser.release();
        let mut log = parser.log;
        // Drop groups whose records have all moved to another group.
        log.groups.retain(|group| group.count > 0);
        log.places.clear();
        Ok(log)
    }

    /// Adds a single record, such as one from a run, and returns the index of its group.
    pub fn add(&mut self, denial: Denial, call: Option<AuditedCall>) -> usize {
        let pid = denial.pid;
        let place = *self.places.entry(RecordKey::of(&denial)).or_insert_with(|| {
            self.groups.push(RecordGroup {
                denial,
                count: 0,
                pids: BTreeSet::new(),
                calls: BTreeSet::new(),
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.count += 1;
        if group.pids.len() < WAITING {
            group.pids.extend(pid);
        }
        group.calls.extend(call);
        place
    }
}

/// The properties that the records of a group share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RecordKey {
    granted: bool,
    permissive: Option<bool>,
    comm: Option<String>,
    sys_admin_reason: SysAdminReason,
    is_perf_descriptor: bool,
    class: String,
    permissions: Vec<String>,
    contexts: [(String, bool); 2],
}

impl RecordKey {
    fn of(denial: &Denial) -> Self {
        let context = |context: &Context| (context.short().to_owned(), context.invalid);
        Self {
            granted: denial.granted,
            permissive: denial.permissive,
            comm: denial.comm.clone(),
            sys_admin_reason: denial.sys_admin_reason,
            is_perf_descriptor: denial.path.as_deref() == Some(PERF_FD),
            class: denial.class.clone(),
            permissions: denial.permissions.iter().cloned().collect(),
            contexts: [context(&denial.source), context(&denial.target)],
        }
    }
}

#[derive(Default)]
struct LogParser {
    log: Log,
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
    fn take(&mut self, line: &str) {
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
    fn release(&mut self) {
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

/// Splits a line into records: pasted ones may follow each other on one line.
fn pieces(line: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    while let Some(end) = end_of_record(rest) {
        if !rest[end..].contains("avc:") {
            break;
        }
        pieces.push(&rest[..end]);
        rest = &rest[end..];
    }
    pieces.push(rest);
    pieces
}

/// The offset of the end of a line's first record, if the record is complete.
fn end_of_record(line: &str) -> Option<usize> {
    const LAST: [&str; 3] = ["permissive=", "srawcon=", "trawcon="];
    let start = line.find("avc:")?;
    let word = |from: usize| line[from..].find(char::is_whitespace).map(|length| from + length);
    let mut end = word(start + line[start..].find(" tclass=")? + 1)?;
    loop {
        let next = line.len() - line[end..].trim_start().len();
        if !LAST.iter().any(|key| line[next..].starts_with(key)) {
            return Some(end);
        }
        end = word(next)?;
    }
}

/// The time and the serial in `audit(…)`, which the records of an event share.
fn event(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("audit(")?;
    let (event, _) = rest.split_once(')')?;
    event.contains(':').then_some(event)
}

enum NextLine {
    End,
    Whole,
    TooLong,
}

/// Reads a line without its line end. Drops the content of a line that is too long.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<NextLine> {
    let (mut any, mut too_long) = (false, false);
    loop {
        let piece = source.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', piece);
        let taken = end.map_or(piece.len(), |at| at + 1);
        if line.len() + taken > foreign::LOG_LINE.length() {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(&piece[..taken]);
        }
        source.consume(taken);
        if end.is_some() {
            break;
        }
    }
    while line.ends_with(b"\n") || line.ends_with(b"\r") {
        line.pop();
    }
    Ok(match (any, too_long) {
        (false, _) => NextLine::End,
        (true, false) => NextLine::Whole,
        (true, true) => NextLine::TooLong,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const AVC: &str = concat!(
        r#"avc:  denied  { open } for  pid=89 comm="perf" scontext=u:r:none_t:s0:c2 "#,
        "tcontext=u:r:none_t:s0:c2 tclass=perf_event permissive=0"
    );
    const CALL: &str = "arch=c000003e syscall=298 success=no exit=-13 a0=0";

    fn read(text: &str) -> Log {
        Log::read(text.as_bytes()).unwrap()
    }

    fn calls(log: &Log) -> Vec<String> {
        log.groups[0].calls.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::the_kernels_order(
        format!("type=AVC msg=audit(1.2:3): {AVC}\ntype=SYSCALL msg=audit(1.2:3): {CALL}\n"),
        true
    )]
    #[case::ausearchs_order(
        format!(
            "----\ntype=SYSCALL msg=audit(1.2:3): {CALL}\ntype=AVC msg=audit(1.2:3): {AVC}\n"
        ),
        true
    )]
    #[case::kernel_log(
        format!(
            "[1.0] audit: type=1400 audit(1.2:3): {AVC}\n\
             [1.0] audit: type=1300 audit(1.2:3): {CALL}\n"
        ),
        true
    )]
    #[case::another_event(
        format!("type=AVC msg=audit(1.2:3): {AVC}\ntype=SYSCALL msg=audit(1.2:4): {CALL}\n"),
        false
    )]
    #[case::journal_without_events(format!("audit[89]: AVC {AVC}\naudit[89]: SYSCALL \
        {CALL}\n"), false)]
    fn records_of_an_event_are_associated(#[case] text: String, #[case] joined: bool) {
        let expected: &[&str] = if joined { &["perf_event_open failed with EACCES"] } else { &[] };
        assert_eq!(calls(&read(&text)), expected);
    }

    #[test]
    fn equal_records_are_counted_and_other_lines_skipped() {
        let other = AVC.replace("open", "kernel");
        let moved = AVC.replace("c2", "c7").replace("pid=89", "pid=90");
        let log = read(&format!("{AVC}\nnonsense\n{other}\r\n\n{moved}"));
        let counts: Vec<_> = log.groups.iter().map(|group| group.count).collect();
        assert_eq!((counts.as_slice(), log.lines, log.other), ([2, 1].as_slice(), 5, 2));
    }

    #[rstest]
    #[case::after_the_fields("> ", &["tcontext=", "tclass="])]
    #[case::before_the_end(">> ", &["permissive="])]
    #[case::within_the_head("", &["open }", "for ", "scontext="])]
    fn a_record_that_a_mail_client_broke_is_joined(#[case] quote: &str, #[case] breaks: &[&str]) {
        let mut text = format!("{quote}type=AVC msg=audit(1.2:3): {AVC}");
        for at in breaks {
            text = text.replace(&format!(" {at}"), &format!("\n{quote}{at}"));
        }
        let log = read(&format!("{text}\n{quote}and so on\n"));
        assert_eq!((log.groups.len(), log.damaged, log.other), (1, 0, 1), "{text}");
        assert_eq!(log.groups[0].denial.permissive, Some(false));
    }

    #[test]
    fn two_records_on_a_line_are_two() {
        let second = AVC.replace("open", "kernel");
        let syslog = "Feb 13 10:53:19 box kernel: audit: type=1400 audit(1.2:4)";
        let log = read(&format!("type=AVC msg=audit(1.2:3): {AVC} {syslog}: {second}"));
        assert_eq!((log.groups.len(), log.damaged, log.lines), (2, 0, 1));
    }

    #[test]
    fn half_a_record_counts_as_damaged() {
        let log = read(&format!("{}\n{AVC}\n", &AVC[..60]));
        assert_eq!((log.damaged, log.groups.len()), (1, 1));
    }

    #[test]
    fn a_line_longer_than_any_record_is_skipped() {
        let long = "x".repeat(10 << 20);
        let log = read(&format!("{AVC} {long}\n{AVC}\n"));
        assert_eq!((log.too_long, log.groups.len(), log.groups[0].count), (1, 1, 1));
        let fits = read(&format!("{AVC} padding={}\n", "x".repeat(8 << 10)));
        assert_eq!((fits.too_long, fits.groups.len()), (0, 1));
    }

    #[test]
    fn bytes_that_are_not_text_are_skipped() {
        let log = Log::read(&b"\xff\xfe\0\n\x1b]0;x\x07\n"[..]).unwrap();
        assert_eq!((log.lines, log.groups.len()), (2, 0));
    }
}
