//! Writes an observation as a transcript.

use std::fmt::Display;

use perfsec_wire::observation::{Effect, Exit, Record, SubjectSeen};
use perfsec_wire::{Observation, Step};

use super::effect::{CapLine, Holds};
use super::result::written_result;
use super::{Subject, written};

/// An observation in its written form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The lines that are compared.
    pub lines: Vec<String>,
    /// What was seen beside them, for a person: kernel messages.
    pub aside: Vec<String>,
}

/// Audit record types that describe the event which another record belongs to: they carry nothing
/// of their own and whether they come depends on audit rules and kernel version.
const ENVELOPE: [u16; 8] = [
    SYSCALL, 1302, // PATH
    1307, // CWD
    1309, // EXECVE
    1320, // EOE
    1321, // BPRM_FCAPS
    1327, // PROCTITLE
    1334, // BPF
];
/// The type of a record about what SELinux refuses beside its rules.
const SELINUX_ERR: u16 = 1401;
/// The type of the record about the syscall itself.
const SYSCALL: u16 = 1300;
/// The type of an AVC record (include/uapi/linux/audit.h).
const AVC: u16 = 1400;

/// What a case wants to see beside syscalls, checks and AVC records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// Kernel messages that hold one of these.
    pub messages: &'a [String],
    /// SYSCALL records.
    pub syscall_records: bool,
}

/// Writes down what a cell with these steps did.
#[must_use]
pub fn observed(
    steps: &[Step],
    observation: &Observation,
    subject: &Subject<'_>,
    shown: Shown<'_>,
) -> Observed {
    let mut writer = Writing {
        out: Observed::default(),
        subject: *subject,
        uid: observation.subject.uid,
        shown,
    };
    for call in &observation.calls {
        let line = match steps.get(call.step as usize) {
            Some(step) => format!("{step} = {}", written_result(step, call.result)),
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

/// A transcript while it is written.
struct Writing<'a> {
    out: Observed,
    /// Who performs the steps: another after an exec.
    subject: Subject<'a>,
    uid: u32,
    shown: Shown<'a>,
}

impl<'a> Writing<'a> {
    fn line(&mut self, text: impl Display) {
        self.out.lines.push(format!("  {text}"));
    }

    fn effects(&mut self, effects: &'a [Effect]) {
        for effect in effects {
            match effect {
                Effect::Cap(check) => self.line(CapLine::from(check)),
                Effect::Record(record) if record.kind == SYSCALL && self.shown.syscall_records => {
                    self.line("record SYSCALL");
                }
                Effect::Record(record) if ENVELOPE.contains(&record.kind) => {}
                Effect::Record(record) => self.line(written_record(record, &self.subject)),
                Effect::Message(message) => {
                    let text = message.text.trim_end();
                    if self.shown.messages.iter().any(|part| text.contains(part)) {
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

fn written_record(record: &Record, subject: &Subject<'_>) -> String {
    let body = record.text.split_once("): ").map_or(record.text.as_str(), |(_, body)| body);
    match record.kind {
        AVC => written(body, subject),
        SELINUX_ERR => selinux_err(body, subject),
        kind => format!("record {kind} {body}"),
    }
}

/// `op=security_bounded_transition seresult=denied oldcontext=… newcontext=…`, contexts by their type.
fn selinux_err(body: &str, subject: &Subject<'_>) -> String {
    let short = |field: &str| match field.split_once('=') {
        Some((key, value)) => format!("{key}={}", subject.type_in(value).unwrap_or(value)),
        None => field.to_owned(),
    };
    let fields: Vec<_> = body.split_whitespace().map(short).collect();
    format!("selinux_err {}", fields.join(" "))
}
