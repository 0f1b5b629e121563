//! Reads a transcript as the questions that its syscalls asked. What the kernel does in one step,
//! such as a capability check with its fallback, is one question.

use std::fmt;

use perfsec_wire::caps::{FALLBACKS, SYS_ADMIN};
use serde::{Deserialize, Serialize};

use crate::grant::cap_name;
use crate::transcript::{
    Avc, CallHead, CallResult, CapLine, CapVerdict, Effect, Transcript, TranscriptCall,
};

/// A step that was performed, with what it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskingCall<'a> {
    /// The line without its result, which identifies the step on another kernel.
    pub(super) step: String,
    /// Name of the syscall.
    pub(super) name: String,
    /// The questions that it asked, in order.
    pub(super) asked: Vec<AskedQuestion<'a>>,
    /// The call.
    pub(super) call: &'a TranscriptCall,
}

/// The return value of a syscall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnValue {
    /// An error, by name.
    Error(String),
    /// Anything else: a number, or the name of a new object such as `fd`.
    Success(String),
    /// The line is not a syscall: effects outside all steps, or the end of the subject.
    Nothing,
}

/// Identifies a question that the kernel asked, or another line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionId {
    /// A check of a capability, including its fallback on CAP_SYS_ADMIN, if it has one.
    Cap {
        /// Name of the capability.
        name: String,
        /// True if it was made with `CAP_OPT_NOAUDIT`.
        silent: bool,
    },
    /// An SELinux permission check that left an AVC record.
    Hook {
        /// Class of the target.
        class: String,
        /// The permissions.
        permissions: String,
    },
    /// Any other line of a transcript, such as `holds none`.
    #[serde(rename = "told")]
    Line(Effect),
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskedQuestion<'a> {
    pub(super) question: QuestionId,
    /// True if the answer was no, even if permissive mode then let it pass.
    pub(super) denied: bool,
    /// Its effects in the transcript.
    pub(super) effects: &'a [Effect],
}

impl QuestionId {
    /// The question that an effect shows.
    pub(super) fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Cap(cap) => Self::of_check(cap),
            Effect::Avc(avc) => Self::of_record(avc),
            other => Self::Line(other.clone()),
        }
    }

    /// The question of a capability check.
    pub(super) fn of_check(cap: &CapLine) -> Self {
        Self::Cap { name: cap_name(cap.cap), silent: cap.unaudited }
    }

    /// The question that a record is about.
    pub(super) fn of_record(avc: &Avc) -> Self {
        Self::Hook {
            class: avc.field("tclass").unwrap_or_default().to_owned(),
            permissions: avc.permissions.join(" "),
        }
    }

    /// True if it is a capability check.
    pub(super) fn is_cap(&self) -> bool {
        matches!(self, Self::Cap { .. })
    }
}

impl fmt::Display for QuestionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap { name, silent: false } => write!(f, "CAP_{}", name.to_uppercase()),
            Self::Cap { name, silent: true } => {
                write!(f, "CAP_{} (unaudited)", name.to_uppercase())
            }
            Self::Hook { class, permissions } => write!(f, "{class} {{ {permissions} }}"),
            Self::Line(line) => write!(f, "`{line}`"),
        }
    }
}

impl fmt::Display for ReturnValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(name) | Self::Success(name) => f.write_str(name),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

impl ReturnValue {
    pub(super) fn of(head: &CallHead) -> Self {
        match head.result() {
            Some(error @ CallResult::Error(_)) => Self::Error(error.to_string()),
            Some(result) => Self::Success(result.to_string()),
            None => Self::Nothing,
        }
    }
}

impl<'a> AskingCall<'a> {
    fn of(call: &'a TranscriptCall) -> Self {
        let (step, name) = match call.head.syscall() {
            Some(syscall) => {
                (format!("{}({})", syscall.name, syscall.arguments), syscall.name.clone())
            }
            None => (call.head.to_string(), call.head.to_string()),
        };
        Self { step, name, asked: asked(&call.effects), call }
    }

    /// Its return value.
    pub(super) fn result(&self) -> Option<&'a CallResult> {
        self.call.head.result()
    }

    /// True if it returned an error.
    pub(super) fn failed(&self) -> bool {
        matches!(self.result(), Some(CallResult::Error(_)))
    }

    /// True if it returned an error that means that the caller lacks a privilege.
    pub(super) fn is_denied(&self) -> bool {
        self.result().is_some_and(CallResult::is_denial)
    }

    /// True if it asks this question.
    pub(super) fn asks(&self, question: &QuestionId) -> bool {
        self.asked.iter().any(|asked| asked.question == *question)
    }

    /// The question that refused the call, if any: the last one, if it was denied.
    pub(super) fn refuser(&self) -> Option<&QuestionId> {
        let last = self.asked.last().filter(|_| self.is_denied())?;
        last.denied.then_some(&last.question)
    }
}

/// The calls of a transcript.
pub(super) fn calls(transcript: &Transcript) -> Vec<AskingCall<'_>> {
    transcript.calls.iter().map(AskingCall::of).collect()
}

/// Reads the effects of a call as questions.
fn asked(effects: &[Effect]) -> Vec<AskedQuestion<'_>> {
    let mut asked = Vec::new();
    let mut at = 0;
    while at < effects.len() {
        let begin = at;
        at += 1;
        let denied = match &effects[begin] {
            Effect::Cap(cap) => {
                let mut verdict = cap.verdict;
                at += own_record(&effects[at..], cap);
                if let Some(Effect::Cap(next)) = effects.get(at)
                    && verdict != CapVerdict::Granted
                    && FALLBACKS.contains(&(cap.cap, SYS_ADMIN))
                    && (next.cap, next.unaudited) == (SYS_ADMIN, cap.unaudited)
                {
                    verdict = next.verdict;
                    at += 1 + own_record(&effects[at + 1..], next);
                }
                verdict != CapVerdict::Granted
            }
            Effect::Avc(avc) => avc.verb == "denied",
            _ => false,
        };
        let question = QuestionId::of(&effects[begin]);
        asked.push(AskedQuestion { question, denied, effects: &effects[begin..at] });
    }
    asked
}

/// Number of leading effects, 0 or 1, that are the record of this check.
fn own_record(effects: &[Effect], cap: &CapLine) -> usize {
    let number = cap.cap.to_string();
    match effects.first() {
        Some(Effect::Avc(avc)) if avc.field("capability") == Some(number.as_str()) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn questions(lines: &[&str]) -> Vec<String> {
        let mut all: Transcript = ["open(x) = EACCES"].into_iter().collect();
        lines.iter().for_each(|line| all.push(&format!("  {line}")));
        let show = |asked: &AskedQuestion<'_>| {
            format!("{}{}", asked.question, if asked.denied { " denied" } else { "" })
        };
        calls(&all)[0].asked.iter().map(show).collect()
    }

    const RECORD: &str = "avc denied { perfmon } capability=38 tclass=capability2";

    #[rstest]
    #[case(&["cap perfmon = granted"], &["CAP_PERFMON"])]
    #[case(&["cap perfmon = not held", "cap sys_admin = not held"], &["CAP_PERFMON denied"])]
    #[case(&["cap perfmon = not held", "cap sys_admin = granted"], &["CAP_PERFMON"])]
    #[case(
        &["cap perfmon = refused by selinux", RECORD, "cap sys_admin = not held"],
        &["CAP_PERFMON denied"]
    )]
    #[case(
        &["cap perfmon = granted", RECORD, "cap sys_admin = granted"],
        &["CAP_PERFMON", "CAP_SYS_ADMIN"]
    )]
    #[case(
        &["cap sys_ptrace = not held", "cap sys_admin = not held"],
        &["CAP_SYS_PTRACE denied", "CAP_SYS_ADMIN denied"]
    )]
    #[case(
        &["cap perfmon = not held", "cap sys_admin unaudited = granted"],
        &["CAP_PERFMON denied", "CAP_SYS_ADMIN (unaudited)"]
    )]
    #[case(&["avc denied { open } tclass=perf_event"], &["perf_event { open } denied"])]
    #[case(&["holds none"], &["`holds none`"])]
    fn a_check_with_its_fallback_is_one_question(
        #[case] lines: &[&str],
        #[case] expected: &[&str],
    ) {
        assert_eq!(questions(lines), expected);
    }

    #[rstest]
    #[case("open(a = b) = EACCES", "open", "EACCES", true)]
    #[case("open(a) = EINVAL", "open", "EINVAL", false)]
    #[case("read(fd, 8) = 8", "read", "8", false)]
    #[case("+++ killed by SIGKILL +++", "+++ killed by SIGKILL +++", "nothing", false)]
    fn a_call_has_a_name_and_a_result(
        #[case] line: &str,
        #[case] name: &str,
        #[case] result: &str,
        #[case] denial: bool,
    ) {
        let transcript = [line].into_iter().collect();
        let call = &calls(&transcript)[0];
        let returned = ReturnValue::of(&call.call.head).to_string();
        assert_eq!((call.name.as_str(), returned.as_str()), (name, result));
        assert_eq!(call.is_denied(), denial);
    }
}
