//! Attributes effects to the syscalls that caused them: pure functions over the evidence.
//!
//! The trace has the order of the subject's syscalls, capability checks and audited denials; the
//! audit records have the rest. The i-th denial in the trace is the i-th AVC record, because the
//! records of one task enter the audit queue in the order in which it wrote them.

use std::collections::HashMap;

use nix::libc;
use perfsec_wire::observation::{Call, CapCheck, Effect, KernelMessage, Record, SubjectSeen};
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
            Self::Stop { .. } => libc::SYS_kill,
        }
    }
}

/// The evidence about one subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) pid: u32,
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
    attributor.records(evidence.pid, evidence.records)?;
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
        let (progress, stop, became, effects) = match performed {
            PerformedStep::Call { progress, became, .. } => (progress, false, became, Vec::new()),
            PerformedStep::Stop { result, messages, .. } => {
                let messages = messages.into_iter().map(|m| EffectSlot::Effect(Effect::Message(m)));
                (Progress::Done(result), true, None, messages.collect())
            }
        };
        let (number, left) = (expected, None);
        self.calls.push(OpenCall { step, number, progress, stop, became, entered, left, effects });
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
                self.starting = number != libc::SYS_kill;
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
    fn records(&mut self, pid: u32, records: Vec<Record>) -> Result<(), Mismatch> {
        let mut owners = HashMap::new();
        for record in &records {
            if let (Some(serial), Some(owner)) =
                (record::serial(&record.text), record::pid(&record.text))
            {
                owners.entry(serial.to_owned()).or_insert(owner);
            }
        }
        let owner = |record: &Record| {
            let serial = record::serial(&record.text)?;
            owners.get(serial).copied()
        };
        let (mut avcs, mut others) = (Vec::new(), Vec::new());
        for record in records {
            if record::is_config_change(&record) {
                continue;
            }
            match owner(&record) {
                Some(owner) if owner != pid => {}
                Some(_) if record.kind == record_types::AVC => avcs.push(record),
                _ => others.push(record),
            }
        }
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
        for record in others {
            let serial = record::serial(&record.text).unwrap_or_default().to_owned();
            let call = match homes.get(&serial) {
                Some(call) => *call,
                None => {
                    let call = self.call_of(&record);
                    if call.is_some() {
                        homes.insert(serial, call);
                    }
                    call
                }
            };
            self.slots(call).push(EffectSlot::Effect(Effect::Record(record)));
        }
        Ok(())
    }

    /// The call of a SYSCALL record without an AVC record: the only one with its number and result.
    fn call_of(&self, record: &Record) -> Option<usize> {
        let (number, result) = record::syscall(record)?;
        let same =
            |call: &OpenCall| call.number == number && call.progress == Progress::Done(result);
        let mut matching = self.calls.iter().enumerate().filter(|(_, call)| same(call));
        match (matching.next(), matching.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
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
                    attributed.calls.push(Call { step: call.step, result, effects });
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
        PerformedStep::Call { step, number, progress, became: None }
    }

    /// The evidence of a real guest about a cell whose one step is `perf_event_open`.
    fn guest(text: &str) -> Evidence {
        let fixture = Fixture::parse(text);
        let progress = Progress::Done(3);
        Evidence {
            pid: fixture.pid,
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

    #[test]
    fn records_of_other_processes_are_ignored() {
        let mut collected = guest(DEBIAN_7_3);
        let expected = attribute(collected.clone());
        let own = format!(" pid={} ", collected.pid);
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
