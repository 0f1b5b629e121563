//! The expectations of a cell, as the C program compares them.

use perfsec_wire::step::ResultForm;
use perfsec_wire::{CapSet, Step};

use super::constants::caps;
use super::literal::string;
use super::obstacle::Obstacle;
use super::records::{Cause, Record};
use crate::transcript::{CallHead, CallResult, Effect, ExpectedCall, ExpectedTranscript, Times};

/// The expected result and records of one step.
#[derive(Default)]
pub(super) struct ExpectedStep {
    /// The C expression of the result; `None` if the step is not performed.
    pub(super) result: Option<String>,
    /// The result, if it is a text.
    pub(super) text: Option<String>,
    /// The process after an execve.
    pub(super) became: Option<Became>,
    /// The AVC records.
    pub(super) records: Vec<Record>,
    /// Capability checks that leave no record.
    pub(super) unseen: Vec<String>,
}

/// The credentials and the domain of a process after an execve.
#[derive(Clone)]
pub(super) struct Became {
    /// Permitted capabilities.
    permitted: CapSet,
    /// Effective capabilities.
    effective: CapSet,
    /// Its real user id.
    uid: u32,
    /// Its domain.
    domain: String,
}

/// The process that the records are about.
pub(super) struct Subject<'a> {
    /// Name of its executable.
    pub(super) comm: &'a str,
    /// Its domain before any exec.
    pub(super) domain: &'a str,
    /// Its user id before any exec.
    pub(super) uid: u32,
    /// True in permissive mode.
    pub(super) permissive: bool,
}

/// The expected result and records of each step.
///
/// # Errors
///
/// Something that the program cannot see.
pub(super) fn expected(
    steps: &[Step],
    transcript: &ExpectedTranscript,
    subject: &Subject<'_>,
) -> Result<Vec<ExpectedStep>, Obstacle> {
    let mut out: Vec<ExpectedStep> = steps.iter().map(|_| ExpectedStep::default()).collect();
    let mut next = 0;
    let mut now = Became {
        permitted: CapSet::EMPTY,
        effective: CapSet::EMPTY,
        uid: subject.uid,
        domain: subject.domain.to_owned(),
    };
    for call in &transcript.calls {
        let CallHead::Syscall(syscall) = &call.head else { return Err(Obstacle::Killed) };
        let is = |step: &Step| {
            syscall.is_of(step) || (syscall.arguments == "..." && syscall.name == step.name())
        };
        let found = steps.iter().enumerate().skip(next).find(|(_, step)| is(step));
        let Some((index, step)) = found else {
            return Err(Obstacle::Step("its transcript names no step of it"));
        };
        next = index + 1;
        out[index] = one(step, call, &syscall.result, subject, &mut now)?;
    }
    Ok(out)
}

fn one(
    step: &Step,
    call: &ExpectedCall,
    result: &CallResult,
    subject: &Subject<'_>,
    now: &mut Became,
) -> Result<ExpectedStep, Obstacle> {
    let mut holds = false;
    let mut out = ExpectedStep::default();
    out.result = Some(match (result, step.result_form()) {
        (CallResult::Error(errno), _) => format!("-{errno}"),
        (CallResult::Number(number), _) => number.to_string(),
        (CallResult::Name(text), ResultForm::Text) => {
            let text = unquoted(text);
            out.text = Some(text.ok_or(Obstacle::Step("it reads bytes that are no text"))?);
            "ANY".to_owned()
        }
        (CallResult::Name(_), ResultForm::Received(_)) if result.is_nothing(step) => "0".to_owned(),
        (CallResult::Name(_), _) => "ANY".to_owned(),
    });
    for group in &call.effects {
        for effect in &group.effects {
            match effect {
                Effect::Cap(cap) => out.unseen.push(cap.to_string()),
                Effect::Avc(_) if group.times != Times::Once => {
                    return Err(Obstacle::Step("it expects a record that may be repeated"));
                }
                Effect::Avc(avc) => {
                    let cause = Cause {
                        comm: subject.comm,
                        domain: &now.domain,
                        permissive: subject.permissive,
                    };
                    out.records.push(Record::of(avc, &cause)?);
                }
                Effect::Holds(sets) => {
                    holds = true;
                    now.permitted = sets.permitted;
                    now.effective = sets.effective;
                }
                Effect::Domain(entered) => now.domain.clone_from(entered),
                Effect::Uid(uid) => now.uid = *uid,
                Effect::Kernel(_) => return Err(Obstacle::Messages),
                Effect::SelinuxErr(_) | Effect::Record(_) | Effect::OtherRecord { .. } => {
                    return Err(Obstacle::Records);
                }
                Effect::Called(_)
                | Effect::Caused(_)
                | Effect::Output(_)
                | Effect::Gap { .. }
                | Effect::Never(_) => {
                    return Err(Obstacle::Step("it runs a program, which you can run"));
                }
                Effect::Verbatim(_) => {
                    return Err(Obstacle::Step("its transcript has a line that is no effect"));
                }
            }
        }
    }
    out.became = holds.then(|| now.clone());
    Ok(out)
}

impl Became {
    /// The arguments of `is_now`.
    pub(super) fn arguments(&self) -> String {
        let (permitted, effective) = (caps(self.permitted), caps(self.effective));
        format!("{permitted}, {effective}, {}, {}", self.uid, string(&self.domain))
    }
}

/// Reads a text that a transcript quotes as Rust does; `None` if C cannot compare it as a string.
fn unquoted(text: &str) -> Option<String> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(quoted) = quoted else { return Some(text.to_owned()) };
    let mut plain = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '"' => '"',
                '\\' => '\\',
                '\'' => '\'',
                _ => return None,
            },
            char::REPLACEMENT_CHARACTER => return None,
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#""2\n""#, Some("2\n"))]
    #[case(r#""say \"a\\b\"""#, Some("say \"a\\b\""))]
    #[case(r#""\0""#, None)]
    #[case(r#""\u{17}""#, None)]
    #[case("0644 uid=0", Some("0644 uid=0"))]
    fn a_text_is_read_as_it_is_quoted(#[case] text: &str, #[case] plain: Option<&str>) {
        assert_eq!(unquoted(text).as_deref(), plain);
    }
}
