//! A whole log: which denials are in it, how often, and in which system calls.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{self, BufRead};

use super::{AuditedCall, Context, Denial, MalformedRecord, SysAdminReason};

/// What a log holds.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Its AVC records, alike ones together, in the order in which each was first met.
    pub groups: Vec<RecordGroup>,
    /// Number of lines.
    pub lines: usize,
    /// Lines that are no AVC record.
    pub other: usize,
    /// Lines that begin like an AVC record and are none, and what is wrong with the first.
    pub damaged: usize,
    /// What is wrong with the first of them.
    pub damage: Option<MalformedRecord>,
    /// Lines that are longer than any record.
    pub too_long: usize,
    places: HashMap<RecordKey, usize>,
}

/// Records that are alike.
#[derive(Clone, Debug)]
pub struct RecordGroup {
    /// The first of them.
    pub denial: Denial,
    /// How many there are.
    pub count: usize,
    /// The processes that they are about, as many as are kept.
    pub pids: BTreeSet<u32>,
    /// The system calls in which they came, as far as the log tells.
    pub calls: BTreeSet<AuditedCall>,
}

/// The longest line that can be a record: `MAX_AUDIT_MESSAGE_LENGTH` is 8970, and syslog adds little.
const LONGEST: usize = 16 << 10;

/// How many events may wait for their SYSCALL record: it follows closely, if at all.
const WAITING: usize = 4096;

/// How the kernel names the descriptor of an event.
const PERF_FD: &str = "anon_inode:[perf_event]";

/// How far apart the records of one call can be, in seconds, where each has a serial of its own.
const ONE_CALL: f64 = 0.1;

/// How many SYSCALL records are remembered for AVC records that follow them: ausearch writes those of one
/// event from the last to the first.
const REMEMBERED: usize = 64;

impl Log {
    /// Reads a log to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(mut source: impl BufRead) -> io::Result<Self> {
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
        }
        parser.release();
        let mut log = parser.log;
        // Those whose every record turned out to be of another group.
        log.groups.retain(|group| group.count > 0);
        log.places.clear();
        Ok(log)
    }

    /// Takes in one record that stands alone, such as one of a run.
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

/// What records have in common that the same rule, and the same explanation, is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct RecordKey {
    granted: bool,
    permissive: Option<bool>,
    comm: Option<String>,
    sys_admin_reason: SysAdminReason,
    of_perfs: bool,
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
            of_perfs: denial.path.as_deref() == Some(PERF_FD),
            class: denial.class.clone(),
            permissions: denial.permissions.iter().cloned().collect(),
            contexts: [context(&denial.source), context(&denial.target)],
        }
    }
}

#[derive(Default)]
struct LogParser {
    log: Log,
    /// Kinds whose system call is not yet known, by event.
    waiting: HashMap<String, Vec<usize>>,
    /// System calls of the last events.
    calls: VecDeque<(String, AuditedCall)>,
    /// A record that may go on in the next line.
    held: Option<PartialRecord>,
    /// The last record of each process.
    last: HashMap<u32, PreviousRecord>,
}

/// A record that a mail may have broken at a blank.
struct PartialRecord {
    /// Its first line.
    first: String,
    /// All of it, so far.
    text: String,
    /// How many lines that is.
    lines: usize,
}

/// Into how many lines a record can be broken.
const BROKEN: usize = 12;

/// The record before, of the same process.
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

    /// One record, or a part of one.
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

    /// Keeps a record until the next line, where it may not be whole.
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

    /// Takes what was held as it is.
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
                let call = event.and_then(|event| self.call_of(event));
                let known = call.is_some();
                let before = denial.pid.and_then(|pid| self.last.remove(&pid));
                let before = before.filter(|before| self.one_call(before, &denial, event));
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
                    self.called(event, call);
                }
            }
        }
    }

    /// Whether two records are about the same call of the same process, as far as they tell.
    fn one_call(&self, before: &PreviousRecord, denial: &Denial, event: Option<&str>) -> bool {
        if before.denial.comm != denial.comm || before.denial.source != denial.source {
            return false;
        }
        match (before.event.as_deref(), event) {
            (Some(first), Some(second)) if first != second => {
                // Without an audit context each record has a serial of its own, and no SYSCALL record.
                let told = self.call_of(first).is_some() || self.call_of(second).is_some();
                let time = |event: &str| event.split(':').next()?.parse::<f64>().ok();
                let near = time(first).zip(time(second)).map(|(a, b)| (a - b).abs() < ONE_CALL);
                !told && near == Some(true)
            }
            _ => true,
        }
    }

    /// Tells of CAP_SYS_ADMIN that it was asked for because CAP_PERFMON was refused.
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
        // ausearch writes the records of one event from the last to the first.
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

    fn call_of(&self, event: &str) -> Option<AuditedCall> {
        let found = self.calls.iter().rev().find(|(known, _)| known == event);
        found.map(|(_, call)| call.clone())
    }

    fn called(&mut self, event: &str, call: AuditedCall) {
        for place in self.waiting.remove(event).unwrap_or_default() {
            self.log.groups[place].calls.insert(call.clone());
        }
        self.calls.push_back((event.to_owned(), call));
        if self.calls.len() > REMEMBERED {
            self.calls.pop_front();
        }
    }
}

/// The records of a line: pasted ones can stand one behind the other.
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

/// Where the first record of a line ends, if it is whole.
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

/// The time and the serial, which the records of an event share.
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

/// Reads a line without its end; of one that is too long nothing is kept.
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
        if line.len() + taken > LONGEST {
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

    const AVC: &str = r#"avc:  denied  { open } for  pid=89 comm="perf" scontext=u:r:none_t:s0:c2 tcontext=u:r:none_t:s0:c2 tclass=perf_event permissive=0"#;
    const CALL: &str = "arch=c000003e syscall=298 success=no exit=-13 a0=0";

    fn read(text: &str) -> Log {
        Log::read(text.as_bytes()).unwrap()
    }

    fn calls(log: &Log) -> Vec<String> {
        log.groups[0].calls.iter().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::the_kernels_order(
        format!("type=AVC msg=audit(1.2:3): {AVC}\ntype=SYSCALL msg=audit(1.2:3): {CALL}\n"), true
    )]
    #[case::ausearchs_order(
        format!("----\ntype=SYSCALL msg=audit(1.2:3): {CALL}\ntype=AVC msg=audit(1.2:3): {AVC}\n"), true
    )]
    #[case::kernel_log(
        format!("[1.0] audit: type=1400 audit(1.2:3): {AVC}\n[1.0] audit: type=1300 audit(1.2:3): {CALL}\n"), true
    )]
    #[case::another_event(
        format!("type=AVC msg=audit(1.2:3): {AVC}\ntype=SYSCALL msg=audit(1.2:4): {CALL}\n"), false
    )]
    #[case::journal_without_events(format!("audit[89]: AVC {AVC}\naudit[89]: SYSCALL {CALL}\n"), false)]
    fn records_of_an_event_are_joined(#[case] text: String, #[case] joined: bool) {
        let expected: &[&str] = if joined { &["perf_event_open failed with EACCES"] } else { &[] };
        assert_eq!(calls(&read(&text)), expected);
    }

    #[test]
    fn alike_records_are_counted_and_others_passed_over() {
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
    fn a_record_that_a_mail_broke_is_joined(#[case] quote: &str, #[case] breaks: &[&str]) {
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
        let log = read(&format!(
            "type=AVC msg=audit(1.2:3): {AVC} Feb 13 10:53:19 box kernel: audit: type=1400 audit(1.2:4): {second}"
        ));
        assert_eq!((log.groups.len(), log.damaged, log.lines), (2, 0, 1));
    }

    #[test]
    fn half_a_record_is_counted_as_damaged() {
        let log = read(&format!("{}\n{AVC}\n", &AVC[..60]));
        assert_eq!((log.damaged, log.groups.len()), (1, 1));
    }

    #[test]
    fn a_line_longer_than_any_record_is_passed_over() {
        let long = "x".repeat(10 << 20);
        let log = read(&format!("{AVC} {long}\n{AVC}\n"));
        assert_eq!((log.too_long, log.groups.len(), log.groups[0].count), (1, 1, 1));
        let fits = read(&format!("{AVC} padding={}\n", "x".repeat(8 << 10)));
        assert_eq!((fits.too_long, fits.groups.len()), (0, 1));
    }

    #[test]
    fn bytes_that_are_no_text_are_passed_over() {
        let log = Log::read(&b"\xff\xfe\0\n\x1b]0;x\x07\n"[..]).unwrap();
        assert_eq!((log.lines, log.groups.len()), (2, 0));
    }
}
