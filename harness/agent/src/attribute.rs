//! Attributes effects to the syscalls that caused them: pure functions over the evidence.
//!
//! The trace has the order of the subject's syscalls, capability checks and audited denials; the
//! audit records have the rest. The i-th denial in the trace is the i-th AVC record, because the
//! records of one task enter the audit queue in the order in which it wrote them.

use std::collections::HashMap;

use nix::libc;
use perfsec_wire::observation::{
    Call, CapCheck, Effect, KernelMessage, RawCall, Record, SubjectSeen,
};
use perfsec_wire::record_types;

use crate::kmsg::LogMessage;
use crate::record;
use crate::subject::Progress;
use crate::trace::{Event, EventData};

/// A step that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PerformedStep {
    /// A syscall of the subject.
    Call {
        /// Index in the cell.
        step: u32,
        /// The syscall number.
        number: i64,
        /// The first arguments.
        arguments: [u64; 4],
        /// Made as a 32-bit program does.
        compat: bool,
        /// The progress that the subject stored.
        progress: Progress,
        /// After an execve: the new program at its first stop.
        became: Option<SubjectSeen>,
    },
    /// An action of the agent, for which the subject stopped.
    Stop {
        /// Index in the cell.
        step: u32,
        /// The result of the action.
        result: i64,
        /// Kernel messages during the action.
        messages: Vec<KernelMessage>,
    },
}

impl PerformedStep {
    fn step(&self) -> u32 {
        match self {
            Self::Call { step, .. } | Self::Stop { step, .. } => *step,
        }
    }

    /// The syscall number in the trace.
    fn number(&self) -> i64 {
        match self {
            Self::Call { number, .. } => *number,
            // A subject stops by sending itself a signal.
            Self::Stop { .. } => libc::SYS_tgkill,
        }
    }
}

/// The evidence about one subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The processes that performed the steps.
    pub(crate) pids: Vec<u32>,
    pub(crate) performed: Vec<PerformedStep>,
    pub(crate) events: Vec<Event>,
    pub(crate) records: Vec<Record>,
    pub(crate) messages: Vec<LogMessage>,
    /// True if capability checks were traced.
    pub(crate) caps: bool,
}

/// The calls with their effects, and the effects of none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attribution {
    pub(crate) calls: Vec<Call>,
    pub(crate) outside: Vec<Effect>,
}

/// A contradiction in the evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("step {step} is syscall {expected}, and the trace has {seen}")]
    Syscall { step: u32, expected: i64, seen: i64 },
    #[error("step {step} returned {reported}, and the trace has {traced}")]
    Result { step: u32, reported: i64, traced: i64 },
    #[error("the trace has no syscall for step {0}")]
    Untraced(u32),
    #[error("the kernel audited {audited} denials and {received} AVC records arrived")]
    Records { audited: usize, received: usize },
    #[error("denial {index} is about class {audited}, and its record is `{record}`")]
    Class { index: usize, audited: String, record: String },
    #[error("a capability check has no beginning or no end")]
    Unpaired,
}

/// A call under construction.
struct OpenCall {
    step: u32,
    number: i64,
    arguments: [u64; 4],
    compat: bool,
    progress: Progress,
    /// A stop of the subject: the traced syscall is not the step.
    stop: bool,
    became: Option<SubjectSeen>,
    entered: u64,
    left: Option<u64>,
    effects: Vec<EffectSlot>,
}

/// An effect, or a placeholder for one.
enum EffectSlot {
    Effect(Effect),
    /// The n-th AVC record.
    Denial(usize),
}

/// A call of `security_capable()` that has not returned.
struct OpenCheck {
    /// Index of the call, and of the effect in it.
    place: (Option<usize>, usize),
    cap: u32,
    opts: u32,
    commoncap: Option<i32>,
}

/// Attributes the evidence to calls.
///
/// # Errors
///
/// If the sources contradict each other: then something was lost, and a guess could be wrong.
pub(crate) fn attribute(evidence: Evidence) -> Result<Attribution, Mismatch> {
    let mut attributor = Attributor::default();
    let mut performed = evidence.performed.into_iter();
    for event in evidence.events {
        attributor.event(event, &mut performed)?;
    }
    // A step that was begun but whose syscall was not entered: the subject was killed in between.
    let begun = |step: &PerformedStep| {
        matches!(step, PerformedStep::Call { progress: Progress::Begun, .. })
    };
    if let Some(missing) = performed.find(|step| !begun(step)) {
        return Err(Mismatch::Untraced(missing.step()));
    }
    if evidence.caps && !attributor.checks.is_empty() && attributor.finished() {
        return Err(Mismatch::Unpaired);
    }
    attributor.records(&evidence.pids, evidence.records)?;
    for message in evidence.messages {
        attributor.message(message);
    }
    attributor.result()
}

#[derive(Default)]
struct Attributor {
    calls: Vec<OpenCall>,
    outside: Vec<EffectSlot>,
    current: Option<usize>,
    /// An `execve` has succeeded, and the new program has not reached its first stop.
    starting: bool,
    checks: Vec<OpenCheck>,
    denials: Vec<(Option<usize>, String)>,
    avcs: Vec<Option<Record>>,
}

impl Attributor {
    fn slots(&mut self, call: Option<usize>) -> &mut Vec<EffectSlot> {
        match call.and_then(|index| self.calls.get_mut(index)) {
            Some(call) => &mut call.effects,
            None => &mut self.outside,
        }
    }

    fn finished(&self) -> bool {
        self.calls.iter().all(|call| call.left.is_some())
    }

    fn enter(
        &mut self,
        seen: i64,
        entered: u64,
        performed: Option<PerformedStep>,
    ) -> Result<(), Mismatch> {
        // After its last step the subject only exits.
        let Some(performed) = performed else {
            self.current = None;
            return Ok(());
        };
        let (step, expected) = (performed.step(), performed.number());
        if expected != seen {
            return Err(Mismatch::Syscall { step, expected, seen });
        }
        let mut call = OpenCall {
            step,
            number: expected,
            arguments: [0; 4],
            compat: false,
            progress: Progress::Begun,
            stop: false,
            became: None,
            entered,
            left: None,
            effects: Vec::new(),
        };
        match performed {
            PerformedStep::Call { progress, became, arguments, compat, .. } => {
                call = OpenCall { progress, became, arguments, compat, ..call };
            }
            PerformedStep::Stop { result, messages, .. } => {
                let messages = messages.into_iter().map(|m| EffectSlot::Effect(Effect::Message(m)));
                call.effects = messages.collect();
                (call.progress, call.stop) = (Progress::Done(result), true);
            }
        }
        self.calls.push(call);
        self.current = Some(self.calls.len() - 1);
        Ok(())
    }

    fn event(
        &mut self,
        event: Event,
        performed: &mut impl Iterator<Item = PerformedStep>,
    ) -> Result<(), Mismatch> {
        match event.data {
            // The syscalls of a program before its first stop belong to no step.
            EventData::Enter { number } if self.starting => {
                self.starting = number != libc::SYS_tgkill;
                self.current = None;
            }
            EventData::Enter { number } => self.enter(number, event.time, performed.next())?,
            EventData::Exit { result: traced, .. } => {
                if let Some(call) = self.current.take().and_then(|at| self.calls.get_mut(at)) {
                    call.left = Some(event.time);
                    if call.stop {
                        return Ok(());
                    }
                    if let Progress::Done(reported) = call.progress
                        && reported != traced
                    {
                        return Err(Mismatch::Result { step: call.step, reported, traced });
                    }
                    call.progress = Progress::Done(traced);
                    self.starting = call.number == libc::SYS_execve && traced == 0;
                }
            }
            EventData::Asked { .. } | EventData::Commoncap { .. } | EventData::Answered { .. }
                if self.starting => {}
            EventData::Asked { cap, opts } => {
                let call = self.current;
                let at = self.slots(call).len();
                let check = CapCheck { cap, opts, commoncap: 0, verdict: 0 };
                self.slots(call).push(EffectSlot::Effect(Effect::Cap(check)));
                self.checks.push(OpenCheck { place: (call, at), cap, opts, commoncap: None });
            }
            // cap_vm_enough_memory() calls cap_capable() at every mapping, outside
            // security_capable(): without an open check the verdict is ignored.
            EventData::Commoncap { verdict } => {
                if let Some(check) = self.checks.last_mut() {
                    check.commoncap = Some(verdict);
                }
            }
            EventData::Answered { verdict } => {
                let OpenCheck { place: (call, at), cap, opts, commoncap } =
                    self.checks.pop().ok_or(Mismatch::Unpaired)?;
                let commoncap = commoncap.ok_or(Mismatch::Unpaired)?;
                let check = CapCheck { cap, opts, commoncap, verdict };
                if let Some(slot) = self.slots(call).get_mut(at) {
                    *slot = EffectSlot::Effect(Effect::Cap(check));
                }
            }
            EventData::Audited { class } => {
                let (call, index) = (self.current, self.denials.len());
                self.slots(call).push(EffectSlot::Denial(index));
                self.denials.push((call, class));
            }
        }
        Ok(())
    }

    /// Puts AVC records where the trace has their denials, and other records with the same serial
    /// behind them.
    fn records(&mut self, pids: &[u32], records: Vec<Record>) -> Result<(), Mismatch> {
        // The records of an event can differ in their pid: then the kernel is wrong about one.
        let mut owners: HashMap<String, Vec<u32>> = HashMap::new();
        for record in &records {
            if let (Some(serial), Some(owner)) =
                (record::serial(&record.text), record::pid(&record.text))
            {
                owners.entry(serial.to_owned()).or_default().push(owner);
            }
        }
        let foreign = |record: &Record| {
            let owners = record::serial(&record.text).and_then(|serial| owners.get(serial));
            match owners {
                Some(owners) => !owners.iter().any(|owner| pids.contains(owner)),
                None => record::is_config_change(record),
            }
        };
        let records: Vec<_> = records.into_iter().filter(|record| !foreign(record)).collect();
        let avcs = records.iter().filter(|record| record.kind == record_types::AVC);
        let avcs: Vec<_> = avcs.cloned().collect();
        if avcs.len() != self.denials.len() {
            let (audited, received) = (self.denials.len(), avcs.len());
            return Err(Mismatch::Records { audited, received });
        }
        let mut homes: HashMap<String, Option<usize>> = HashMap::new();
        for (index, (avc, (call, class))) in avcs.iter().zip(&self.denials).enumerate() {
            if record::field(&avc.text, "tclass") != Some(class) {
                let (audited, record) = (class.clone(), avc.text.clone());
                return Err(Mismatch::Class { index, audited, record });
            }
            if let Some(serial) = record::serial(&avc.text) {
                homes.entry(serial.to_owned()).or_insert(*call);
            }
        }
        self.avcs = avcs.into_iter().map(Some).collect();
        // Events of one task arrive in the order of its calls.
        let mut next = 0;
        for record in &records {
            let serial = record::serial(&record.text).unwrap_or_default();
            if !homes.contains_key(serial)
                && let Some(call) = self.call_of(record, next)
            {
                homes.insert(serial.to_owned(), Some(call));
            }
            if let Some(Some(call)) = homes.get(serial) {
                next = call + 1;
            }
        }
        for record in records.into_iter().filter(|record| record.kind != record_types::AVC) {
            let serial = record::serial(&record.text).unwrap_or_default();
            let call = homes.get(serial).copied().flatten();
            self.slots(call).push(EffectSlot::Effect(Effect::Record(record)));
        }
        Ok(())
    }

    /// The call of a SYSCALL record without an AVC record: the next with its number and result, from
    /// call `next` on.
    fn call_of(&self, record: &Record, next: usize) -> Option<usize> {
        let (number, result) = record::syscall(record)?;
        let same =
            |call: &OpenCall| call.number == number && call.progress == Progress::Done(result);
        (next..self.calls.len()).find(|index| same(&self.calls[*index]))
    }

    /// Adds a kernel message to the call during which it was printed.
    fn message(&mut self, LogMessage { time_us, message }: LogMessage) {
        let during = |call: &OpenCall| {
            call.entered / 1000 <= time_us && call.left.is_none_or(|left| time_us <= left / 1000)
        };
        let call = self.calls.iter().position(during);
        self.slots(call).push(EffectSlot::Effect(Effect::Message(message)));
    }

    fn result(mut self) -> Result<Attribution, Mismatch> {
        let mut attributed = Attribution::default();
        let mut avcs = std::mem::take(&mut self.avcs);
        let mut effects = |slots: Vec<EffectSlot>| -> Vec<Effect> {
            let fill = |slot| match slot {
                EffectSlot::Effect(effect) => Some(effect),
                EffectSlot::Denial(index) => avcs.get_mut(index)?.take().map(Effect::Record),
            };
            slots.into_iter().filter_map(fill).collect()
        };
        for call in self.calls {
            let mut effects = effects(call.effects);
            match call.progress {
                Progress::Done(result) => {
                    effects.extend(call.became.map(Effect::Became));
                    let is_syscall = |effect: &Effect| {
                        matches!(effect, Effect::Record(record)
                            if record.kind == record_types::SYSCALL)
                    };
                    let OpenCall { step, number, arguments, compat, .. } = call;
                    let raw = RawCall { compat, number, arguments, result };
                    let raw = effects.iter().any(is_syscall).then_some(raw);
                    let (text, program) = (None, None);
                    attributed.calls.push(Call { step, result, text, raw, effects, program });
                }
                // A syscall that never returned has no result, but its effects are reported.
                Progress::Begun | Progress::Untouched => attributed.outside.extend(effects),
            }
        }
        attributed.outside.extend(effects(self.outside));
        Ok(attributed)
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::observation::KernelMessage;
    use rstest::rstest;

    use super::*;
    use crate::trace::fixture::{DEBIAN_5_10, DEBIAN_7_3, Fixture};

    const PERF_EVENT_OPEN: i64 = 298;

    fn called(step: u32, number: i64, progress: Progress) -> PerformedStep {
        PerformedStep::Call {
            step,
            number,
            arguments: [0; 4],
            compat: false,
            progress,
            became: None,
        }
    }

    /// The evidence of a real guest about a cell whose one step is `perf_event_open`.
    fn guest(text: &str) -> Evidence {
        let fixture = Fixture::parse(text);
        let progress = Progress::Done(3);
        Evidence {
            pids: vec![fixture.pid],
            performed: vec![called(0, PERF_EVENT_OPEN, progress)],
            events: fixture.events(),
            records: fixture.records,
            messages: Vec::new(),
            caps: true,
        }
    }

    fn brief(effects: &[Effect]) -> String {
        let words = effects.iter().map(|effect| match effect {
            Effect::Cap(CapCheck { cap, commoncap, verdict, .. }) => match (commoncap, verdict) {
                (0, 0) => format!("{cap}+"),
                (0, _) => format!("{cap}!"),
                _ => format!("{cap}-"),
            },
            Effect::Record(Record { kind: 1400, text }) => {
                text.split(['{', '}']).nth(1).unwrap_or_default().trim().to_owned()
            }
            Effect::Record(Record { kind, .. }) => kind.to_string(),
            Effect::Message(message) => message.text.clone(),
            Effect::Became(seen) => seen.context.clone(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case(DEBIAN_5_10, "open 38- 21+ sys_admin kernel 38- 21+")]
    #[case(DEBIAN_7_3, "open 38- 21+ sys_admin kernel 38- 21+ 1300 1327 1320")]
    fn a_real_call_has_its_checks_and_records_in_order(#[case] text: &str, #[case] expected: &str) {
        let attributed = attribute(guest(text)).unwrap();
        let [call] = attributed.calls.as_slice() else { panic!("{attributed:?}") };
        assert_eq!((call.step, call.result), (0, 3));
        assert_eq!(brief(&call.effects), expected);
        assert_eq!(attributed.outside, []);
    }

    #[rstest]
    fn a_lost_record_is_noticed(#[values(DEBIAN_5_10, DEBIAN_7_3)] text: &str) {
        let mut collected = guest(text);
        collected.records.remove(1);
        let expected = Mismatch::Records { audited: 3, received: 2 };
        assert_eq!(attribute(collected), Err(expected));
    }

    #[rstest]
    fn records_in_another_order_are_noticed(#[values(DEBIAN_5_10, DEBIAN_7_3)] text: &str) {
        let mut collected = guest(text);
        collected.records.swap(0, 1);
        assert!(matches!(attribute(collected), Err(Mismatch::Class { index: 0, .. })));
    }

    #[rstest]
    fn a_lost_event_is_noticed(#[values(DEBIAN_5_10, DEBIAN_7_3)] text: &str) {
        let whole = guest(text);
        let ends =
            |data: &EventData| matches!(data, EventData::Exit { .. } | EventData::Enter { .. });
        for index in 0..whole.events.len() {
            let mut collected = whole.clone();
            if !ends(&collected.events.remove(index).data) {
                assert!(attribute(collected).is_err(), "without {:?}", whole.events[index]);
            }
        }
    }

    #[rstest]
    fn a_result_that_the_trace_contradicts_is_noticed(
        #[values(DEBIAN_5_10, DEBIAN_7_3)] text: &str,
    ) {
        let mut collected = guest(text);
        collected.performed[0] = called(0, PERF_EVENT_OPEN, Progress::Done(-13));
        let expected = Mismatch::Result { step: 0, reported: -13, traced: 3 };
        assert_eq!(attribute(collected), Err(expected));
    }

    #[test]
    fn a_syscall_that_differs_from_the_step_is_noticed() {
        let mut collected = guest(DEBIAN_7_3);
        collected.performed[0] = called(0, 0, Progress::Done(3));
        let expected = Mismatch::Syscall { step: 0, expected: 0, seen: PERF_EVENT_OPEN };
        assert_eq!(attribute(collected), Err(expected));
    }

    #[test]
    fn a_step_that_the_trace_lacks_is_noticed() {
        let mut collected = guest(DEBIAN_7_3);
        let second = called(1, 3, Progress::Done(0));
        collected.performed.push(second);
        collected.events.truncate(collected.events.len() - 1);
        assert_eq!(attribute(collected), Err(Mismatch::Untraced(1)));
    }

    /// The pid in the AVC record is wrong, and that in the SYSCALL record of the event is not.
    #[test]
    fn a_wrong_pid_in_one_record_of_an_event_is_seen() {
        let mut collected = guest(DEBIAN_7_3);
        let own = format!(" pid={} ", collected.pids[0]);
        let avc = collected.records.iter_mut().find(|record| record.kind == record_types::AVC);
        let avc = avc.expect("an AVC record");
        avc.text = avc.text.replace(&own, " pid=1 ");
        let text = avc.text.clone();
        let attributed = attribute(collected).expect("attributed");
        let effects = attributed.calls.iter().flat_map(|call| &call.effects);
        let seen = effects.filter_map(|effect| match effect {
            Effect::Record(record) => Some(record.text.as_str()),
            _ => None,
        });
        assert!(seen.into_iter().any(|seen| seen == text));
    }

    #[test]
    fn records_of_other_processes_are_ignored() {
        let mut collected = guest(DEBIAN_7_3);
        let expected = attribute(collected.clone());
        let own = format!(" pid={} ", collected.pids[0]);
        let foreign: Vec<_> = collected
            .records
            .iter()
            .map(|record| Record {
                kind: record.kind,
                text: record.text.replace(":38)", ":37)").replace(&own, " pid=9 "),
            })
            .collect();
        collected.records.splice(0..0, foreign);
        assert_eq!(attribute(collected), expected);
    }

    /// Adds a call that the subject, pid 7, made and that returned.
    fn perform(evidence: &mut Evidence, step: u32, number: i64, result: i64) {
        evidence.performed.push(called(step, number, Progress::Done(result)));
        for data in [EventData::Enter { number }, EventData::Exit { number, result }] {
            evidence.events.push(Event { time: step.into(), tid: 7, data });
        }
    }

    #[test]
    fn each_of_several_equal_calls_has_the_records_of_its_own_event() {
        let mut collected = Evidence { pids: vec![7], ..Evidence::default() };
        for step in 0..3 {
            let number = if step == 1 { 0 } else { PERF_EVENT_OPEN };
            perform(&mut collected, step, number, 3);
        }
        let record = |kind, text: &str| Record { kind, text: text.to_owned() };
        // A record that precedes the SYSCALL record of its event, and one of another process.
        collected.records = vec![
            record(1334, "audit(1.0:5): prog-id=1 op=LOAD"),
            record(1300, "audit(1.0:5): syscall=298 exit=3 pid=7"),
            record(1300, "audit(1.0:6): syscall=298 exit=3 pid=8"),
            record(1300, "audit(1.0:7): syscall=298 exit=3 pid=7"),
            record(1327, "audit(1.0:7): proctitle=\"x\""),
        ];
        let attributed = attribute(collected).unwrap();
        let effects: Vec<_> = attributed.calls.iter().map(|call| brief(&call.effects)).collect();
        assert_eq!(effects, ["1334 1300", "", "1300 1327"]);
        assert_eq!(attributed.outside, []);
        let raw = attributed.calls.iter().map(|call| call.raw.is_some());
        assert_eq!(raw.collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn a_change_has_a_call_only_if_an_event_of_the_subject_has_it() {
        const RMDIR: i64 = 84;
        let mut collected = Evidence { pids: vec![7], ..Evidence::default() };
        perform(&mut collected, 0, RMDIR, 0);
        let record = |kind, text: &str| Record { kind, text: text.to_owned() };
        // Of the subject, of the agent, and without a context.
        collected.records = vec![
            record(1305, "audit(1.0:5): auid=1 ses=1op=remove_rule list=4 res=1"),
            record(1300, "audit(1.0:5): syscall=84 exit=0 pid=7"),
            record(1305, "audit(1.0:6): auid=1 ses=1 op=add_rule list=4 res=1"),
            record(1300, "audit(1.0:6): syscall=44 exit=9 pid=1"),
            record(1305, "audit(1.0:7): auid=1 ses=1 op=remove_rule list=4 res=1"),
        ];
        let attributed = attribute(collected).unwrap();
        assert_eq!(brief(&attributed.calls[0].effects), "1305 1300");
        assert_eq!(attributed.outside, []);
    }

    #[test]
    fn a_call_that_never_returned_leaves_its_effects_outside() {
        let mut collected = guest(DEBIAN_5_10);
        collected.performed[0] = called(0, PERF_EVENT_OPEN, Progress::Begun);
        let exit = |event: &Event| matches!(event.data, EventData::Exit { .. });
        let end = collected.events.iter().position(exit).unwrap();
        collected.events.truncate(end);
        let attributed = attribute(collected).unwrap();
        assert_eq!(attributed.calls, []);
        assert_eq!(brief(&attributed.outside), "open 38- 21+ sys_admin kernel 38- 21+");
    }

    #[test]
    fn a_step_that_was_begun_but_never_entered_is_not_a_call() {
        let mut collected = guest(DEBIAN_5_10);
        let second = called(1, 3, Progress::Begun);
        collected.performed.push(second);
        collected.events.truncate(collected.events.len() - 1);
        assert_eq!(attribute(collected).unwrap().calls.len(), 1);
    }

    #[rstest]
    #[case::before(-1, true)]
    #[case::during(0, false)]
    fn a_message_belongs_to_the_call_during_which_it_was_printed(
        #[case] shift: i64,
        #[case] outside: bool,
    ) {
        let mut collected = guest(DEBIAN_7_3);
        let time_us = (collected.events[0].time / 1000).saturating_add_signed(shift);
        let message = KernelMessage { level: 4, text: "hello".to_owned() };
        collected.messages.push(LogMessage { time_us, message });
        let attributed = attribute(collected).unwrap();
        assert_eq!(brief(&attributed.outside) == "hello", outside);
        assert_eq!(brief(&attributed.calls[0].effects).ends_with("hello"), !outside);
    }
}
