//! A log: its AVC records in groups of equal ones, and the other facts that it states.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader};

use crate::foreign::{self, Limited};

use super::assemble::Assembler;
use super::forms::{Decoder, FormCounts};
use super::lines::{NextLine, next_line};
use super::{AuditedCall, Context, Denial, MalformedRecord, Notice, SysAdminReason};

/// The AVC records of a log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The records in groups, in the order in which each group first appears.
    pub groups: Vec<RecordGroup>,
    /// Number of lines.
    pub lines: usize,
    /// Number of lines that are not AVC records.
    pub other: usize,
    /// The forms of what was read.
    pub forms: FormCounts,
    /// The facts that other lines state, with the number of lines, in the order of the log.
    pub notices: Vec<(Notice, usize)>,
    /// Calls of `perf_event_open()` and `bpf()` without an AVC record, with the program's name and
    /// their number.
    pub calls: Vec<(Option<String>, AuditedCall, usize)>,
    /// Lines in no known form, at most 4096, without escape sequences and other wrapping.
    pub unread: Vec<String>,
    /// Number of lines in no known form.
    pub unread_lines: usize,
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
    /// The files below `/proc` that these calls opened, at most 16.
    pub paths: BTreeSet<String>,
}

/// The largest number of groups. A host's log has a few hundred.
const GROUPS: usize = 100_000;

/// The number of processes of a group to remember.
const PIDS: usize = 4096;

/// The number of files of a group to remember.
const PATHS: usize = 16;

/// The number of lines to return that no form has.
const UNREAD: usize = 4096;

/// The number of other facts to remember. They repeat.
const FACTS: usize = 256;

/// The path of a perf event's descriptor.
const PERF_FD: &str = "anon_inode:[perf_event]";

impl Log {
    /// Reads a log to its end.
    ///
    /// # Errors
    ///
    /// If reading fails, or the log is too large.
    pub fn read(source: impl BufRead) -> io::Result<Self> {
        let mut reader = LogReader::default();
        reader.read(source)?;
        Ok(reader.finish())
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
                paths: BTreeSet::new(),
            });
            self.groups.len() - 1
        });
        let group = &mut self.groups[place];
        group.count += 1;
        if group.pids.len() < PIDS {
            group.pids.extend(pid);
        }
        group.calls.extend(call);
        place
    }

    /// True if nothing was recognised: no record, no message, no call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.notices.is_empty() && self.calls.is_empty()
    }

    pub(super) fn add_notice(&mut self, notice: Notice) {
        if let Some((_, count)) = self.notices.iter_mut().find(|(known, _)| *known == notice) {
            *count += 1;
        } else if self.notices.len() < FACTS {
            self.notices.push((notice, 1));
        }
    }

    /// Adds a call without an AVC record, if it is one of perf or BPF.
    pub(super) fn add_call(&mut self, comm: Option<String>, call: AuditedCall) {
        if !matches!(call.name.as_str(), "perf_event_open" | "bpf") {
            return;
        }
        let mut known = self.calls.iter_mut();
        if let Some((.., count)) = known.find(|(by, known, _)| *by == comm && *known == call) {
            *count += 1;
        } else if self.calls.len() < FACTS {
            self.calls.push((comm, call, 1));
        }
    }

    pub(super) fn add_unread(&mut self, line: &str) {
        self.unread_lines += 1;
        if self.unread.len() < UNREAD {
            self.unread.push(line.to_owned());
        }
    }

    pub(super) fn finish(mut self) -> Self {
        // Drop groups whose records have all moved to another group, and messages about records
        // that the log has too.
        let known: Vec<_> = self
            .groups
            .iter()
            .filter(|group| group.denial.is_record())
            .map(|group| (group.denial.class.clone(), group.denial.permissions.clone()))
            .collect();
        self.groups.retain(|group| {
            let Denial { class, permissions, .. } = &group.denial;
            let repeats = !group.denial.is_record()
                && group.denial.source.is_omitted()
                && known
                    .iter()
                    .any(|(other, names)| other == class && permissions.is_subset(names));
            group.count > 0 && !repeats
        });
        self.places.clear();
        self
    }
}

/// Reads a log from one or several sources, one after the other.
#[derive(Default)]
pub struct LogReader {
    decoder: Decoder,
    assembler: Assembler,
}

impl LogReader {
    /// Reads a source to its end.
    ///
    /// # Errors
    ///
    /// If reading fails, or the log is too large.
    pub fn read(&mut self, source: impl BufRead) -> io::Result<()> {
        let mut source = BufReader::new(Limited::new(source, &foreign::LOG));
        let mut line = Vec::new();
        loop {
            line.clear();
            match next_line(&mut source, &mut line)? {
                NextLine::End => break,
                NextLine::Whole => {
                    self.assembler.log.lines += 1;
                    self.decoder.line(&String::from_utf8_lossy(&line), &mut self.assembler);
                }
                NextLine::TooLong => {
                    self.assembler.log.lines += 1;
                    self.assembler.log.too_long += 1;
                }
            }
            if self.assembler.log.groups.len() > GROUPS {
                let reason = format!("it has more than {GROUPS} records that differ");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
        }
        self.decoder.end(&mut self.assembler);
        self.assembler.release();
        Ok(())
    }

    /// The log.
    #[must_use]
    pub fn finish(self) -> Log {
        self.assembler.finish()
    }
}

impl RecordGroup {
    pub(super) fn add_paths(&mut self, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            if self.paths.len() < PATHS {
                self.paths.insert(path);
            }
        }
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
    #[case::journal_without_events(
        format!("audit[89]: AVC {AVC}\naudit[89]: SYSCALL {CALL} ppid=1 pid=89\n"),
        true
    )]
    #[case::journal_with_another_process(
        format!("audit[89]: AVC {AVC}\naudit[90]: SYSCALL {CALL} ppid=89 pid=90\n"),
        false
    )]
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
