//! Attributes the effects of a program to its system calls, and selects those to report: a pure
//! function over the evidence.
//!
//! As for a subject, the i-th denial of a process in the trace is the i-th AVC record with its pid.

use std::collections::HashMap;

use nix::libc;
use perfsec_wire::observation::{CapCheck, Effect, Record};
use perfsec_wire::program::{MAX_CALLS, ProgramCall, ProgramRequest};
use perfsec_wire::record_types;

use super::event::{ProgramEvent, ProgramEventData};
use super::tasks::Tasks;
use crate::record;

/// `CAP_SYS_PTRACE`, `CAP_SYS_ADMIN`, `CAP_SYSLOG`, `CAP_PERFMON`, `CAP_BPF`: a call during which
/// the kernel asks for one of them is reported.
const CAPABILITIES: [u32; 5] = [19, 21, 34, 38, 39];

/// Files whose opening is reported: exact paths, and beginnings that end in a slash.
const FILES: [&str; 8] = [
    "/sys/kernel/tracing/",
    "/sys/kernel/debug/",
    "/sys/fs/selinux/enforce",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/sys/kernel/kptr_restrict",
    "/proc/sys/kernel/perf_event_",
    "/proc/sys/kernel/perf_",
];

/// The calls and effects that are selected of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProgramEvidence {
    pub(super) calls: Vec<ProgramCall>,
    pub(super) outside: Vec<Effect>,
    /// Ids of its tasks, without the first.
    pub(super) others: Vec<u32>,
}

/// A contradiction in the evidence, or too much of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProgramMismatch {
    #[error(
        "the kernel audited {audited} denials of process {pid} and {received} AVC records arrived"
    )]
    Records { pid: i32, audited: usize, received: usize },
    #[error("a denial of process {pid} is about class {audited}, and its record is `{record}`")]
    Class { pid: i32, audited: String, record: String },
    #[error("a capability check of process {0} has no beginning or no end")]
    Unpaired(i32),
    #[error("it makes {0} system calls that are reported, more than {MAX_CALLS}")]
    TooMany(usize),
    #[error("the trace lacks the execve(2) of the program")]
    NoExec,
}

/// The AVC records of each process, in order.
type Avcs<'a> = HashMap<i32, Vec<&'a Record>>;

/// A system call under construction.
struct OpenCall {
    pid: i32,
    number: i64,
    arguments: [u64; 6],
    attr: Option<[u64; 8]>,
    /// The first word of bpf(2), or the flags of clone3(2).
    word: Option<u64>,
    path: Option<String>,
    /// Index of the call that opened the event to which the first argument refers.
    event: Option<usize>,
    result: Option<i64>,
    effects: Vec<EffectSlot>,
}

enum EffectSlot {
    Effect(Effect),
    /// An AVC record that is still to be found.
    Denial {
        class: String,
        /// Its number among those of the process.
        index: usize,
    },
}

/// A call of `security_capable()` that has not returned.
struct OpenCheck {
    /// Index of the effect.
    at: usize,
    check: CapCheck,
    commoncap: Option<i32>,
}

/// Attributes the evidence about the program that task `first` executes.
///
/// # Errors
///
/// If the sources contradict each other: then something was lost, and a guess could be wrong.
pub(super) fn attribute(
    first: i32,
    events: Vec<ProgramEvent>,
    records: &[Record],
) -> Result<ProgramEvidence, ProgramMismatch> {
    let mut attributor = Attributor::new(first);
    for event in events {
        attributor.event(event)?;
    }
    attributor.records(records)?;
    attributor.result()
}

struct Attributor {
    tasks: Tasks,
    calls: Vec<OpenCall>,
    /// The call in which a task is.
    current: HashMap<i32, usize>,
    checks: HashMap<i32, Vec<OpenCheck>>,
    /// Effects of each process during no call.
    outside: Vec<(i32, EffectSlot)>,
    /// The number of denials of each process.
    denials: HashMap<i32, usize>,
    first: i32,
    /// The numbers of calls and of effects outside of them before the program was executed.
    start: Option<(usize, usize)>,
}

impl Attributor {
    fn new(first: i32) -> Self {
        Self {
            tasks: Tasks::first(first),
            calls: Vec::new(),
            current: HashMap::new(),
            checks: HashMap::new(),
            outside: Vec::new(),
            denials: HashMap::new(),
            first,
            start: None,
        }
    }

    fn call(&mut self, tid: i32) -> Option<&mut OpenCall> {
        self.calls.get_mut(*self.current.get(&tid)?)
    }

    fn push(&mut self, tid: i32, slot: EffectSlot) -> usize {
        if let Some(call) = self.call(tid) {
            call.effects.push(slot);
            return call.effects.len() - 1;
        }
        self.outside.push((self.tasks.group(tid), slot));
        self.outside.len() - 1
    }

    fn event(&mut self, event: ProgramEvent) -> Result<(), ProgramMismatch> {
        let tid = event.tid;
        match event.data {
            ProgramEventData::Enter { number, arguments } => {
                if tid == self.first && number == libc::SYS_execve && self.start.is_none() {
                    self.start = Some((self.calls.len(), self.outside.len()));
                }
                let fd = arguments[if number == libc::SYS_mmap { 4 } else { 0 }];
                let event = self.tasks.event(tid, fd).map(|event| event.call);
                self.current.insert(tid, self.calls.len());
                self.calls.push(OpenCall {
                    pid: self.tasks.group(tid),
                    number,
                    arguments,
                    attr: None,
                    word: None,
                    path: None,
                    event,
                    result: None,
                    effects: Vec::new(),
                });
            }
            ProgramEventData::Exit { result } => self.exit(tid, result),
            ProgramEventData::Attr(attr) => self.note(tid, |call| call.attr = Some(attr)),
            ProgramEventData::Bpf(word) => self.note(tid, |call| call.word = Some(word.into())),
            ProgramEventData::CloneFlags(word) => self.note(tid, |call| call.word = Some(word)),
            // An execve(2) also opens the interpreter.
            ProgramEventData::Path(path) => {
                self.note(tid, |call| {
                    call.path.get_or_insert(path);
                });
            }
            ProgramEventData::Forked { child } => {
                let flags = self.call(tid).map_or(0, |call| match call.number {
                    libc::SYS_clone => call.arguments[0],
                    libc::SYS_clone3 => call.word.unwrap_or(0),
                    _ => 0,
                });
                self.tasks.forked(tid, child, flags);
            }
            ProgramEventData::Asked { cap, opts } => {
                let check = CapCheck { cap, opts, commoncap: 0, verdict: 0 };
                let at = self.push(tid, EffectSlot::Effect(Effect::Cap(check)));
                let open = OpenCheck { at, check, commoncap: None };
                self.checks.entry(tid).or_default().push(open);
            }
            // cap_vm_enough_memory() calls cap_capable() outside security_capable().
            ProgramEventData::Commoncap { verdict } => {
                if let Some(check) = self.checks.get_mut(&tid).and_then(|open| open.last_mut()) {
                    check.commoncap = Some(verdict);
                }
            }
            ProgramEventData::Answered { verdict } => self.answered(tid, verdict)?,
            ProgramEventData::Audited { class } => {
                let count = self.denials.entry(self.tasks.group(tid)).or_default();
                let index = *count;
                *count += 1;
                self.push(tid, EffectSlot::Denial { class, index });
            }
        }
        Ok(())
    }

    fn note(&mut self, tid: i32, change: impl FnOnce(&mut OpenCall)) {
        if let Some(call) = self.call(tid) {
            change(call);
        }
    }

    fn exit(&mut self, tid: i32, result: i64) {
        // A thread that executes a program takes the id of its leader (de_thread()).
        let by_thread = |call: &OpenCall| {
            matches!(call.number, libc::SYS_execve | libc::SYS_execveat)
                && call.result.is_none()
                && call.pid == tid
        };
        let own = self.current.remove(&tid);
        let index = match own {
            Some(index) => Some(index),
            None => self.calls.iter().rposition(by_thread),
        };
        let Some((index, call)) = index.and_then(|at| Some((at, self.calls.get_mut(at)?))) else {
            return;
        };
        call.result = Some(result);
        if result >= 0 {
            let (number, arguments) = (call.number, call.arguments);
            self.tasks.returned(tid, index, number, &arguments, result);
        }
    }

    fn answered(&mut self, tid: i32, verdict: i32) -> Result<(), ProgramMismatch> {
        let open = self.checks.get_mut(&tid).and_then(Vec::pop);
        let unpaired = ProgramMismatch::Unpaired(tid);
        let OpenCheck { at, check, commoncap } = open.ok_or(unpaired.clone())?;
        let commoncap = commoncap.ok_or(unpaired)?;
        let effect = EffectSlot::Effect(Effect::Cap(CapCheck { commoncap, verdict, ..check }));
        let place = match self.current.get(&tid).copied() {
            Some(index) => self.calls.get_mut(index).and_then(|call| call.effects.get_mut(at)),
            None => self.outside.get_mut(at).map(|(_, slot)| slot),
        };
        if let Some(place) = place {
            *place = effect;
        }
        Ok(())
    }

    /// Puts AVC records where the trace has their denials, and the other records with the same
    /// serial behind them.
    fn records(&mut self, records: &[Record]) -> Result<(), ProgramMismatch> {
        let own: Vec<i32> = self.tasks.ids();
        let owner = |record: &Record| {
            let pid = i32::try_from(record::pid(&record.text)?).ok()?;
            own.contains(&pid).then_some(pid)
        };
        let mut of_serial: HashMap<&str, i32> = HashMap::new();
        for record in records {
            if let (Some(serial), Some(pid)) = (record::serial(&record.text), owner(record)) {
                of_serial.entry(serial).or_insert(pid);
            }
        }
        let mut avcs = Avcs::new();
        let mut rest: Vec<(&str, i32, &Record)> = Vec::new();
        for record in records.iter().filter(|record| !record::is_config_change(record)) {
            let serial = record::serial(&record.text).unwrap_or_default();
            let Some(pid) = of_serial.get(serial).copied() else { continue };
            match record.kind {
                record_types::AVC => avcs.entry(pid).or_default().push(record),
                _ => rest.push((serial, pid, record)),
            }
        }
        self.check_counts(&avcs)?;
        let mut homes: HashMap<String, usize> = HashMap::new();
        for (index, call) in self.calls.iter_mut().enumerate() {
            for slot in &mut call.effects {
                if let Some(serial) = fill(slot, call.pid, &avcs)? {
                    homes.entry(serial).or_insert(index);
                }
            }
        }
        for (pid, slot) in &mut self.outside {
            fill(slot, *pid, &avcs)?;
        }
        // The calls of a process in the order of its events.
        let mut next: HashMap<i32, usize> = HashMap::new();
        for (serial, pid, record) in &rest {
            let from = next.entry(*pid).or_default();
            let found = homes.get(*serial).copied().or_else(|| {
                let (number, result) = record::syscall(record)?;
                (*from..self.calls.len()).find(|at| {
                    let call = &self.calls[*at];
                    (call.pid, call.number, call.result) == (*pid, number, Some(result))
                })
            });
            if let Some(index) = found {
                homes.entry((*serial).to_owned()).or_insert(index);
                *from = index + 1;
            }
        }
        for (serial, pid, record) in rest {
            let slot = EffectSlot::Effect(Effect::Record(record.clone()));
            match homes.get(serial).and_then(|index| self.calls.get_mut(*index)) {
                Some(call) => call.effects.push(slot),
                None => self.outside.push((pid, slot)),
            }
        }
        Ok(())
    }

    fn check_counts(&self, avcs: &Avcs<'_>) -> Result<(), ProgramMismatch> {
        for pid in self.tasks.ids() {
            let audited = self.denials.get(&pid).copied().unwrap_or(0);
            let received = avcs.get(&pid).map_or(0, Vec::len);
            if audited != received {
                return Err(ProgramMismatch::Records { pid, audited, received });
            }
        }
        Ok(())
    }

    /// Selects the calls to report, from the execve(2) of the program on.
    fn result(mut self) -> Result<ProgramEvidence, ProgramMismatch> {
        let (start, launched) = self.start.ok_or(ProgramMismatch::NoExec)?;
        let others = self.tasks.ids().into_iter().filter(|id| *id != self.first);
        let others = others.map(|id| id as u32).collect();
        let selected: Vec<bool> =
            (0..self.calls.len()).map(|at| at >= start && is_selected(&self.calls[at])).collect();
        let count = selected.iter().filter(|selected| **selected).count();
        if count > MAX_CALLS {
            return Err(ProgramMismatch::TooMany(count));
        }
        // The number that a selected call has among them.
        let mut numbers = vec![None; self.calls.len()];
        let mut next = 0;
        for (at, selected) in selected.iter().enumerate() {
            if *selected {
                numbers[at] = Some(next);
                next += 1;
            }
        }
        let mut calls = Vec::new();
        for (call, selected) in std::mem::take(&mut self.calls).into_iter().zip(&selected) {
            if !selected {
                continue;
            }
            let event = call.event.and_then(|at| numbers.get(at).copied().flatten());
            let request = request(&call, event);
            let effects = call.effects.into_iter().filter_map(EffectSlot::effect).collect();
            let pid = call.pid as u32;
            calls.push(ProgramCall { pid, request, result: call.result, effects });
        }
        let outside = self.outside.into_iter().skip(launched).filter_map(|(_, slot)| slot.effect());
        // A check of a task that ends says nothing about perf.
        let outside = outside.filter(|effect| !matches!(effect, Effect::Cap(_))).collect();
        Ok(ProgramEvidence { calls, outside, others })
    }
}

impl EffectSlot {
    fn effect(self) -> Option<Effect> {
        match self {
            Self::Effect(effect) => Some(effect),
            Self::Denial { .. } => None,
        }
    }
}

/// Replaces a denial by the next AVC record of its process; returns the record's serial.
fn fill(
    slot: &mut EffectSlot,
    pid: i32,
    avcs: &Avcs<'_>,
) -> Result<Option<String>, ProgramMismatch> {
    let EffectSlot::Denial { class, index } = slot else { return Ok(None) };
    let Some(avc) = avcs.get(&pid).and_then(|avcs| avcs.get(*index)) else { return Ok(None) };
    if record::field(&avc.text, "tclass") != Some(class) {
        let (audited, record) = (class.clone(), avc.text.clone());
        return Err(ProgramMismatch::Class { pid, audited, record });
    }
    let serial = record::serial(&avc.text).map(str::to_owned);
    *slot = EffectSlot::Effect(Effect::Record((*avc).clone()));
    Ok(serial)
}

fn is_selected(call: &OpenCall) -> bool {
    let own = match call.number {
        libc::SYS_perf_event_open | libc::SYS_bpf => true,
        libc::SYS_ioctl | libc::SYS_read | libc::SYS_mmap => call.event.is_some(),
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => {
            call.path.as_deref().is_some_and(|path| FILES.iter().any(|file| path.starts_with(file)))
        }
        _ => false,
    };
    let shown = |slot: &EffectSlot| match slot {
        EffectSlot::Effect(Effect::Cap(check)) => CAPABILITIES.contains(&check.cap),
        EffectSlot::Effect(_) | EffectSlot::Denial { .. } => true,
    };
    own || call.effects.iter().any(shown)
}

fn request(call: &OpenCall, event: Option<u32>) -> ProgramRequest {
    let arguments = &call.arguments;
    match call.number {
        libc::SYS_perf_event_open => ProgramRequest::Open {
            attr: call.attr,
            pid: arguments[1] as i32,
            cpu: arguments[2] as i32,
            grouped: arguments[3] as i32 >= 0,
            flags: arguments[4],
        },
        libc::SYS_bpf => {
            let (command, kind) = (arguments[0] as u32, call.word.map(|word| word as u32));
            ProgramRequest::Bpf { command, kind }
        }
        libc::SYS_mmap if call.event.is_some() => {
            ProgramRequest::Mmap { event, length: arguments[1] }
        }
        libc::SYS_ioctl if call.event.is_some() => {
            let (request, argument) = (arguments[1] as u32, arguments[2]);
            ProgramRequest::Ioctl { event, request, argument }
        }
        libc::SYS_read if call.event.is_some() => {
            ProgramRequest::Read { event, count: arguments[2] }
        }
        libc::SYS_open | libc::SYS_openat => {
            let flags = if call.number == libc::SYS_open { arguments[1] } else { arguments[2] };
            let access = Some(flags as u32 & libc::O_ACCMODE as u32);
            ProgramRequest::OpenFile { path: call.path.clone(), access }
        }
        libc::SYS_openat2 => ProgramRequest::OpenFile { path: call.path.clone(), access: None },
        libc::SYS_execve | libc::SYS_execveat => ProgramRequest::Exec { path: call.path.clone() },
        number => ProgramRequest::Other { number },
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::program::ProgramRequest as Request;
    use rstest::rstest;

    use super::*;
    use ProgramEventData as Data;

    const OPEN: i64 = libc::SYS_perf_event_open;

    fn enter(tid: i32, number: i64, arguments: &[u64]) -> (i32, Data) {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        (tid, Data::Enter { number, arguments: all })
    }

    fn exit(tid: i32, result: i64) -> (i32, Data) {
        (tid, Data::Exit { result })
    }

    fn denied(tid: i32, class: &str) -> (i32, Data) {
        (tid, Data::Audited { class: class.to_owned() })
    }

    fn avc(serial: u32, pid: i32, class: &str) -> Record {
        let text =
            format!("audit(1.0:{serial}): avc:  denied  {{ x }} for  pid={pid} tclass={class}");
        Record { kind: record_types::AVC, text }
    }

    fn syscall(serial: u32, pid: i32, number: i64, result: i64) -> Record {
        let text = format!("audit(1.0:{serial}): syscall={number} exit={result} pid={pid}");
        Record { kind: record_types::SYSCALL, text }
    }

    /// The events of program 7, from its execve(2) on.
    fn attributed(
        events: &[(i32, Data)],
        records: &[Record],
    ) -> Result<ProgramEvidence, ProgramMismatch> {
        let start = [enter(7, libc::SYS_execve, &[]), exit(7, 0)];
        let events = start.iter().chain(events).zip(0..);
        let events =
            events.map(|((tid, data), time)| ProgramEvent { time, tid: *tid, data: data.clone() });
        attribute(7, events.collect(), records)
    }

    /// The calls as `PID NAME RESULT: EFFECT …`.
    fn brief(evidence: &ProgramEvidence) -> Vec<String> {
        let calls = evidence.calls.iter().map(|call| {
            let name = match &call.request {
                Request::Open { .. } => "open".to_owned(),
                Request::Mmap { event, .. } => format!("mmap of {event:?}"),
                Request::Ioctl { event, .. } => format!("ioctl of {event:?}"),
                Request::Read { event, .. } => format!("read of {event:?}"),
                Request::Bpf { command, .. } => format!("bpf {command}"),
                Request::OpenFile { path, .. } => {
                    format!("file {}", path.as_deref().unwrap_or("?"))
                }
                Request::Exec { .. } => "exec".to_owned(),
                Request::Other { number } => format!("other {number}"),
            };
            let effects = call.effects.iter().map(|effect| match effect {
                Effect::Record(record) => {
                    let serial = record::serial(&record.text).unwrap_or_default();
                    format!(" {}@{serial}", record.kind)
                }
                Effect::Cap(check) => format!(" cap{}", check.cap),
                _ => " ?".to_owned(),
            });
            let result = call.result.map_or("?".to_owned(), |result| result.to_string());
            format!("{} {name} {result}{}", call.pid, effects.collect::<String>())
        });
        calls.collect()
    }

    #[test]
    fn calls_on_events_are_reported_and_others_are_not() {
        let events = [
            enter(7, libc::SYS_read, &[3]),
            exit(7, 8),
            enter(7, OPEN, &[]),
            exit(7, 3),
            enter(7, libc::SYS_mmap, &[0, 4096, 0, 0, 3]),
            exit(7, 1 << 40),
            enter(7, libc::SYS_mmap, &[0, 4096, 0, 0, 9]),
            exit(7, 1 << 40),
            enter(7, libc::SYS_read, &[3]),
            exit(7, 8),
            enter(7, libc::SYS_close, &[3]),
            exit(7, 0),
            enter(7, libc::SYS_read, &[3]),
            exit(7, 0),
        ];
        let evidence = attributed(&events, &[]).unwrap();
        let mapped = format!("7 mmap of Some(0) {}", 1_u64 << 40);
        assert_eq!(brief(&evidence), ["7 open 3", &mapped, "7 read of Some(0) 8"]);
    }

    #[rstest]
    #[case("/proc/kallsyms", true)]
    #[case("/sys/kernel/tracing/events/sched", true)]
    #[case("/proc/sys/kernel/perf_event_paranoid", true)]
    #[case("/etc/passwd", false)]
    fn files_that_concern_perf_are_reported(#[case] path: &str, #[case] reported: bool) {
        let events =
            [enter(7, libc::SYS_openat, &[]), (7, Data::Path(path.to_owned())), exit(7, -13)];
        let evidence = attributed(&events, &[]).unwrap();
        assert_eq!(!evidence.calls.is_empty(), reported);
    }

    #[test]
    fn a_call_with_a_record_or_a_check_of_a_privilege_is_reported() {
        let check = |cap| [(7, Data::Asked { cap, opts: 0 }), (7, Data::Commoncap { verdict: 0 })];
        let mut events = vec![enter(7, 1, &[]), denied(7, "file"), exit(7, -13)];
        for cap in [19, 12] {
            events.push(enter(7, 2, &[]));
            events.extend(check(cap));
            events.push((7, Data::Answered { verdict: 0 }));
            events.push(exit(7, 0));
        }
        let records = [avc(5, 7, "file"), syscall(5, 7, 1, -13)];
        let evidence = attributed(&events, &records).unwrap();
        let expected = ["7 other 1 -13 1400@1.0:5 1300@1.0:5", "7 file ? 0 cap19"];
        assert_eq!(brief(&evidence), expected);
    }

    #[test]
    fn each_process_has_its_own_records_whatever_their_order() {
        let events = [
            enter(7, libc::SYS_clone, &[0]),
            (7, Data::Forked { child: 8 }),
            exit(7, 8),
            enter(8, OPEN, &[]),
            denied(8, "perf_event"),
            enter(7, OPEN, &[]),
            denied(7, "perf_event"),
            exit(7, 3),
            exit(8, -13),
        ];
        let records = [avc(6, 7, "perf_event"), avc(5, 8, "perf_event"), avc(9, 99, "file")];
        let evidence = attributed(&events, &records).unwrap();
        assert_eq!(brief(&evidence), ["8 open -13 1400@1.0:5", "7 open 3 1400@1.0:6"]);
        assert_eq!(evidence.others, [8]);
    }

    #[test]
    fn a_thread_belongs_to_its_process() {
        let flags = (libc::CLONE_THREAD | libc::CLONE_FILES) as u64;
        let events = [
            enter(7, libc::SYS_clone3, &[]),
            (7, Data::CloneFlags(flags)),
            (7, Data::Forked { child: 8 }),
            exit(7, 8),
            enter(8, OPEN, &[]),
            denied(8, "perf_event"),
            exit(8, 3),
            enter(7, libc::SYS_ioctl, &[3]),
            exit(7, 0),
        ];
        let evidence = attributed(&events, &[avc(5, 7, "perf_event")]).unwrap();
        assert_eq!(brief(&evidence), ["7 open 3 1400@1.0:5", "7 ioctl of Some(0) 0"]);
    }

    #[test]
    fn a_lost_record_is_noticed() {
        let events = [enter(7, OPEN, &[]), denied(7, "perf_event"), exit(7, 3)];
        let lost = ProgramMismatch::Records { pid: 7, audited: 1, received: 0 };
        assert_eq!(attributed(&events, &[]), Err(lost));
        let other = [avc(5, 7, "file")];
        assert!(matches!(attributed(&events, &other), Err(ProgramMismatch::Class { .. })));
    }

    #[test]
    fn a_check_without_an_end_is_noticed() {
        let events = [enter(7, OPEN, &[]), (7, Data::Answered { verdict: 0 })];
        assert_eq!(attributed(&events, &[]), Err(ProgramMismatch::Unpaired(7)));
    }

    #[test]
    fn what_the_launch_does_before_the_program_is_not_reported() {
        let events = [
            (7, Data::Audited { class: "dir".to_owned() }),
            enter(7, libc::SYS_execve, &[]),
            exit(7, 0),
        ];
        let events = events.iter().zip(0..);
        let events =
            events.map(|((tid, data), time)| ProgramEvent { time, tid: *tid, data: data.clone() });
        let evidence = attribute(7, events.collect(), &[avc(1, 7, "dir")]).unwrap();
        assert_eq!((evidence.calls, evidence.outside), (Vec::new(), Vec::new()));
    }
}
