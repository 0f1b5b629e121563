//! The transcript of an observation.

use perfsec_wire::observation::{self, Exit, RawCall, Record, SubjectSeen};
use perfsec_wire::program::Program;
use perfsec_wire::step::Run;
use perfsec_wire::{Observation, Step, record_types};

use super::avc::avc_effect;
use super::program::program_lines;
use super::record::{RecordContext, record_effect};
use super::{
    CallHead, CallResult, Effect, Holds, RecordType, Subject, Syscall, Transcript, TranscriptCall,
};

/// Longest `comm`: `TASK_COMM_LEN` without the final NUL.
const MAX_COMM: usize = 15;

/// The transcript of an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTranscript {
    /// It is compared with the expected one.
    pub transcript: Transcript,
    /// Kernel messages that are not part of the transcript.
    pub aside: Vec<String>,
}

/// The lines that a case requests in addition to syscalls, checks and AVC records.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtraLines<'a> {
    /// Kernel messages that contain one of these strings.
    pub messages: &'a [String],
    /// Records of these types. Without a request they are not part of a transcript: the kernel
    /// version and the audit rules decide which of them appear.
    pub records: &'a [RecordType],
}

/// Makes the transcript of a cell with these steps.
#[must_use]
pub fn observed_transcript(
    steps: &[Step],
    observation: &Observation,
    subject: &Subject<'_>,
    extra: ExtraLines<'_>,
) -> ObservedTranscript {
    let mut writer = TranscriptWriter {
        aside: Vec::new(),
        subject: *subject,
        exe: subject.exe.to_owned(),
        raw: None,
        outside: false,
        first_uid: observation.subject.uid,
        uid: observation.subject.uid,
        extra,
    };
    let mut calls = Vec::new();
    for call in &observation.calls {
        let step = steps.get(call.step as usize);
        let head = match step {
            Some(step) => CallHead::Syscall(Syscall::new(
                step,
                CallResult::observed(step, call.result, call.text.as_deref()),
            )),
            None => CallHead::NoStep { step: call.step, value: call.result },
        };
        if let Some(Step::Execve(file)) = step.filter(|_| call.result == 0) {
            writer.exe = file.path(subject.comm);
        }
        writer.raw = call.raw.as_ref();
        let mut effects = writer.effects(&call.effects);
        if let (Some(Step::Run(run)), Some(program)) = (step, call.program.as_deref()) {
            effects.extend(writer.program(program, run, &observation.processes));
        }
        calls.push(TranscriptCall { head, effects });
    }
    (writer.raw, writer.outside) = (None, true);
    let outside = writer.effects(&observation.outside);
    if !outside.is_empty() {
        calls.push(TranscriptCall { head: CallHead::Outside, effects: outside });
    }
    if let Exit::Signal(number) = observation.exit {
        let name = nix::sys::signal::Signal::try_from(number)
            .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
        calls.push(TranscriptCall::new(CallHead::Killed(name)));
    }
    ObservedTranscript { transcript: Transcript { calls }, aside: writer.aside }
}

struct TranscriptWriter<'a> {
    aside: Vec<String>,
    /// The process that performs the steps; an exec changes it.
    subject: Subject<'a>,
    /// The program that it executes.
    exe: String,
    /// True behind the last step.
    outside: bool,
    /// The call that is being written, if a SYSCALL record describes it.
    raw: Option<&'a RawCall>,
    /// The user id with which it started.
    first_uid: u32,
    /// The user id in the last `uid` line.
    uid: u32,
    extra: ExtraLines<'a>,
}

impl<'a> TranscriptWriter<'a> {
    fn effects(&mut self, effects: &'a [observation::Effect]) -> Vec<Effect> {
        let mut out = Vec::new();
        // At the end of an execve, when audit_log_exit() runs, the process is the new program.
        let became = effects.iter().find_map(|effect| match effect {
            observation::Effect::Became(seen) => Some(seen.context.as_str()),
            _ => None,
        });
        let context_at_exit = became.unwrap_or(self.subject.context);
        for effect in effects {
            match effect {
                observation::Effect::Cap(check) => out.push(Effect::Cap(check.into())),
                observation::Effect::Record(record) => {
                    out.extend(self.record(record, context_at_exit));
                }
                observation::Effect::Message(message) => {
                    let text = message.text.trim_end();
                    if self.extra.messages.iter().any(|part| text.contains(part)) {
                        out.push(Effect::read(&format!("kernel {text}")));
                    } else {
                        self.aside.push(format!("kernel: <{}> {text}", message.level));
                    }
                }
                observation::Effect::Became(seen) => self.became(seen, &mut out),
            }
        }
        out
    }

    /// The lines of a program. The records of each call are about its own process.
    fn program(
        &mut self,
        program: &'a Program,
        run: &Run,
        processes: &[(String, u32, String)],
    ) -> Vec<Effect> {
        let name = program.path.rsplit('/').next().unwrap_or_default();
        let comm: String = name.chars().take(MAX_COMM).collect();
        let subject = Subject { comm: &comm, exe: &program.path, ..self.subject };
        let (extra, first_uid, mut aside) = (self.extra, self.first_uid, Vec::new());
        let lines = program_lines(program, run, processes, |call| {
            let pid = call.map_or(program.pid, |call| call.pid);
            let mut writer = TranscriptWriter {
                aside: Vec::new(),
                subject: Subject { pid, ..subject },
                exe: program.path.clone(),
                raw: None,
                outside: call.is_none(),
                first_uid,
                uid: first_uid,
                extra,
            };
            let effects = writer.effects(call.map_or(&program.outside, |call| &call.effects));
            aside.append(&mut writer.aside);
            effects
        });
        self.aside.append(&mut aside);
        lines
    }

    fn record(&self, record: &Record, context_at_exit: &str) -> Option<Effect> {
        let body = record.text.split_once("): ").map_or(record.text.as_str(), |(_, body)| body);
        match record.kind {
            record_types::AVC => Some(avc_effect(body, &self.subject)),
            record_types::SELINUX_ERR => Some(selinux_err(body, &self.subject)),
            kind => match RecordType::numbered(kind) {
                // The end of a program, which the kernel may log at any time: a close(2) only queues
                // it, and bpf_audit_prog() finds no syscall to which it belongs.
                Some(RecordType::Bpf) if self.outside => None,
                Some(kind) => self.extra.records.contains(&kind).then(|| {
                    let subject =
                        Subject { context: context_at_exit, exe: &self.exe, ..self.subject };
                    let context = RecordContext { subject, uid: self.first_uid, call: self.raw };
                    record_effect(kind, body, &context)
                }),
                None => Some(Effect::read(&format!("record {kind} {body}"))),
            },
        }
    }

    fn became(&mut self, seen: &'a SubjectSeen, out: &mut Vec<Effect>) {
        let holds = Holds { permitted: seen.permitted, effective: seen.effective };
        out.push(Effect::read(&holds.to_string()));
        if seen.context != self.subject.context {
            let context = self.subject.type_in(&seen.context).unwrap_or(&seen.context);
            out.push(Effect::read(&format!("domain {context}")));
            self.subject.context = &seen.context;
        }
        if seen.uid != self.uid {
            out.push(Effect::Uid(seen.uid));
            self.uid = seen.uid;
        }
    }
}

/// `op=security_bounded_transition seresult=denied oldcontext=… newcontext=…`, with the types of
/// contexts.
fn selinux_err(body: &str, subject: &Subject<'_>) -> Effect {
    let short = |field: &str| match field.split_once('=') {
        Some((key, value)) => format!("{key}={}", subject.type_in(value).unwrap_or(value)),
        None => field.to_owned(),
    };
    let fields: Vec<_> = body.split_whitespace().map(short).collect();
    Effect::read(&format!("selinux_err {}", fields.join(" ")))
}

#[cfg(test)]
mod tests {
    use perfsec_wire::observation::{Call, CapCheck, Effect, KernelMessage};
    use perfsec_wire::{CapSet, Mode};
    use proptest::prelude::*;

    use super::*;

    fn effect() -> impl Strategy<Value = Effect> {
        let text = || "(avc:  denied  [{] |[}] for |tclass=|[ -~]){0,20}";
        let seen = |(caps, context, uid)| SubjectSeen {
            pid: 1,
            uid,
            permitted: CapSet(caps),
            effective: CapSet(caps >> 1),
            context,
        };
        let kinds = [record_types::AVC, record_types::SELINUX_ERR, record_types::SYSCALL, 1326];
        prop_oneof![
            (0..70_u32, 0..4_u32, -13..1, -13..1).prop_map(|(cap, opts, commoncap, verdict)| {
                Effect::Cap(CapCheck { cap, opts, commoncap, verdict })
            }),
            (prop::sample::select(kinds.to_vec()), text()).prop_map(|(kind, text)| {
                Effect::Record(Record { kind, text: format!("audit(1.0:1): {text}") })
            }),
            text().prop_map(|text| Effect::Message(KernelMessage { level: 4, text })),
            (any::<u64>(), text(), any::<u32>()).prop_map(move |it| Effect::Became(seen(it))),
        ]
    }

    proptest! {
        /// Otherwise a run record would not contain what was judged.
        #[test]
        fn a_transcript_does_not_change_when_it_is_recorded(
            effects in prop::collection::vec(effect(), 0..6),
            result in -600..600_i64,
        ) {
            let subject = SubjectSeen {
                pid: 1,
                uid: 0,
                permitted: CapSet::EMPTY,
                effective: CapSet::EMPTY,
                context: "u:r:none_t:s0".to_owned(),
            };
            let observation = Observation {
                subject,
                mode: Mode::Enforcing,
                processes: Vec::new(),
                heirs: Vec::new(),
                calls: vec![Call { step: 0, result, text: None, raw: None, effects: effects.clone(), program: None }],
                outside: effects,
                exit: Exit::Signal(9),
                lost: 0,
                caps_unseen: None,
                micros: 0,
            };
            let subject = Subject {
                pid: 1,
                comm: "subject",
                context: &observation.subject.context,
                mode: Mode::Enforcing,
                exe: "/tmp/none/subject",
                tasks: &[],
            };
            let step = Step::Close(perfsec_wire::step::Close { fd: "fd".to_owned() });
            let extra = ExtraLines {
                messages: &[String::new()],
                records: &[RecordType::Syscall],
            };
            let seen = observed_transcript(&[step], &observation, &subject, extra).transcript;
            let text = serde_json::to_string(&seen).unwrap();
            prop_assert_eq!(serde_json::from_str::<Transcript>(&text).unwrap(), seen);
        }
    }
}
