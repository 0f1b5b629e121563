//! Writes an observation as a transcript.

use perfsec_wire::observation::{Effect, Exit, Record};
use perfsec_wire::{Observation, Step};

use super::effect::CapLine;
use super::{Subject, written};
use crate::errno::Errno;

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
const ENVELOPE: [u16; 6] = [
    1300, // SYSCALL
    1302, // PATH
    1307, // CWD
    1309, // EXECVE
    1320, // EOE
    1327, // PROCTITLE
];
/// The type of an AVC record (include/uapi/linux/audit.h).
const AVC: u16 = 1400;

/// Writes down what a cell with these steps did.
#[must_use]
pub fn observed(steps: &[Step], observation: &Observation, subject: &Subject<'_>) -> Observed {
    let mut out = Observed::default();
    for call in &observation.calls {
        match steps.get(call.step as usize) {
            Some(step) => out.lines.push(format!("{step} = {}", result(step, call.result))),
            None => out.lines.push(format!("(no step {}) = {}", call.step, call.result)),
        }
        out.effects("  ", &call.effects, subject);
    }
    if !observation.outside.is_empty() {
        let before = out.lines.len();
        out.effects("  ", &observation.outside, subject);
        if out.lines.len() > before {
            out.lines.insert(before, "(outside every step)".to_owned());
        }
    }
    if let Exit::Signal(number) = observation.exit {
        let name = nix::sys::signal::Signal::try_from(number)
            .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
        out.lines.push(format!("+++ killed by {name} +++"));
    }
    out
}

impl Observed {
    fn effects(&mut self, indent: &str, effects: &[Effect], subject: &Subject<'_>) {
        for effect in effects {
            match effect {
                Effect::Cap(check) => {
                    self.lines.push(format!("{indent}{}", CapLine::from(check)));
                }
                Effect::Record(record) if ENVELOPE.contains(&record.kind) => {}
                Effect::Record(record) => {
                    self.lines.push(format!("{indent}{}", written_record(record, subject)));
                }
                Effect::Message(message) => {
                    self.aside.push(format!("kernel: <{}> {}", message.level, message.text));
                }
            }
        }
    }
}

fn written_record(record: &Record, subject: &Subject<'_>) -> String {
    let body = record.text.split_once("): ").map_or(record.text.as_str(), |(_, body)| body);
    match record.kind {
        AVC => written(body, subject),
        kind => format!("record {kind} {body}"),
    }
}

/// A syscall's result as an expectation writes it: what varies from boot to boot has a name.
fn result(step: &Step, value: i64) -> String {
    match i32::try_from(-value) {
        Ok(errno) if (1..4096).contains(&errno) => Errno(errno).to_string(),
        _ => match step {
            Step::PerfEventOpen(open) => open.bind.clone(),
            Step::Mmap(_) => "addr".to_owned(),
            Step::Read(_) | Step::Ioctl(_) | Step::Close(_) => value.to_string(),
        },
    }
}
