//! Writes an observation as a transcript.

use std::fmt::Display;

use perfsec_wire::observation::{Effect, Exit, Record, SubjectSeen};
use perfsec_wire::{Observation, Step, record_types};

use super::effect::{CapLine, Holds};
use super::result::format_result;
use super::{Subject, format_avc};

/// The transcript of an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTranscript {
    /// Its lines, which are compared.
    pub lines: Vec<String>,
    /// Kernel messages that are not part of the transcript.
    pub aside: Vec<String>,
}

/// Audit records that only describe the event of another record. They are not part of a transcript:
/// the kernel version and the audit rules decide which of them appear.
const ENVELOPE: [u16; 8] = [
    record_types::SYSCALL,
    record_types::PATH,
    record_types::CWD,
    record_types::EXECVE,
    record_types::EOE,
    record_types::BPRM_FCAPS,
    record_types::PROCTITLE,
    record_types::BPF,
];

/// The lines that a case requests in addition to syscalls, checks and AVC records.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtraLines<'a> {
    /// Kernel messages that contain one of these strings.
    pub messages: &'a [String],
    /// SYSCALL records.
    pub syscall_records: bool,
}

/// Writes the observation of a cell with these steps.
#[must_use]
pub fn observed_transcript(
    steps: &[Step],
    observation: &Observation,
    subject: &Subject<'_>,
    extra: ExtraLines<'_>,
) -> ObservedTranscript {
    let mut writer = TranscriptWriter {
        out: ObservedTranscript::default(),
        subject: *subject,
        uid: observation.subject.uid,
        extra,
    };
    for call in &observation.calls {
        let line = match steps.get(call.step as usize) {
            Some(step) => format!("{step} = {}", format_result(step, call.result)),
            None => format!("(no step {}) = {}", call.step, call.result),
        };
        writer.out.lines.push(line);
        writer.effects(&call.effects);
    }
    if !observation.outside.is_empty() {
        let before = writer.out.lines.len();
        writer.effects(&observation.outside);
        if writer.out.lines.len() > before {
            writer.out.lines.insert(before, "(outside every step)".to_owned());
        }
    }
    if let Exit::Signal(number) = observation.exit {
        let name = nix::sys::signal::Signal::try_from(number)
            .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
        writer.out.lines.push(format!("+++ killed by {name} +++"));
    }
    writer.out
}

struct TranscriptWriter<'a> {
    out: ObservedTranscript,
    /// The process that performs the steps; an exec changes it.
    subject: Subject<'a>,
    uid: u32,
    extra: ExtraLines<'a>,
}

impl<'a> TranscriptWriter<'a> {
    fn line(&mut self, text: impl Display) {
        self.out.lines.push(format!("  {text}"));
    }

    fn effects(&mut self, effects: &'a [Effect]) {
        for effect in effects {
            match effect {
                Effect::Cap(check) => self.line(CapLine::from(check)),
                Effect::Record(record)
                    if record.kind == record_types::SYSCALL && self.extra.syscall_records =>
                {
                    self.line("record SYSCALL");
                }
                Effect::Record(record) if ENVELOPE.contains(&record.kind) => {}
                Effect::Record(record) => self.line(format_record(record, &self.subject)),
                Effect::Message(message) => {
                    let text = message.text.trim_end();
                    if self.extra.messages.iter().any(|part| text.contains(part)) {
                        self.line(format_args!("kernel {text}"));
                    } else {
                        let aside = format!("kernel: <{}> {text}", message.level);
                        self.out.aside.push(aside);
                    }
                }
                Effect::Became(seen) => self.became(seen),
            }
        }
    }

    fn became(&mut self, seen: &'a SubjectSeen) {
        self.line(Holds { permitted: seen.permitted, effective: seen.effective });
        if seen.context != self.subject.context {
            let context = self.subject.type_in(&seen.context).unwrap_or(&seen.context);
            self.line(format_args!("domain {context}"));
            self.subject.context = &seen.context;
        }
        if seen.uid != self.uid {
            self.line(format_args!("uid {}", seen.uid));
            self.uid = seen.uid;
        }
    }
}

fn format_record(record: &Record, subject: &Subject<'_>) -> String {
    let body = record.text.split_once("): ").map_or(record.text.as_str(), |(_, body)| body);
    match record.kind {
        record_types::AVC => format_avc(body, subject),
        record_types::SELINUX_ERR => format_selinux_err(body, subject),
        kind => format!("record {kind} {body}"),
    }
}

/// Formats `op=security_bounded_transition seresult=denied oldcontext=… newcontext=…`, with the
/// types of contexts.
fn format_selinux_err(body: &str, subject: &Subject<'_>) -> String {
    let short = |field: &str| match field.split_once('=') {
        Some((key, value)) => format!("{key}={}", subject.type_in(value).unwrap_or(value)),
        None => field.to_owned(),
    };
    let fields: Vec<_> = body.split_whitespace().map(short).collect();
    format!("selinux_err {}", fields.join(" "))
}
