//! Reads a transcript as the questions that its syscalls asked. What the kernel does in one step,
//! such as a capability check with its fallback, is one question.

use std::fmt;

use perfsec_wire::caps::{FALLBACKS, SYS_ADMIN};
use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::grant::cap_name;
use crate::transcript::{Avc, CapLine, CapVerdict, Effect};

/// A step that was performed, with what it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TranscriptCall {
    /// The line without its result, which identifies the step on another kernel.
    pub(super) step: String,
    /// Name of the syscall.
    pub(super) name: String,
    /// Its return value.
    pub(super) result: ReturnValue,
    /// The questions that it asked, in order.
    pub(super) asked: Vec<AskedQuestion>,
    /// All of its lines, including the first.
    pub(super) lines: Vec<String>,
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
    Line(String),
}

/// A question with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskedQuestion {
    pub(super) question: QuestionId,
    /// True if the answer was no, even if permissive mode then let it pass.
    pub(super) denied: bool,
    /// Its lines in the transcript.
    pub(super) lines: Vec<String>,
}

impl QuestionId {
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
    fn of(text: &str) -> Self {
        match text.parse::<Errno>() {
            Ok(_) => Self::Error(text.to_owned()),
            Err(_) => Self::Success(text.to_owned()),
        }
    }

    /// True if it is an error that means that the caller lacks a privilege.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Error(name) if name.parse().is_ok_and(Errno::is_denial))
    }

    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

impl TranscriptCall {
    /// True if it asks this question.
    pub(super) fn asks(&self, question: &QuestionId) -> bool {
        self.asked.iter().any(|asked| asked.question == *question)
    }

    /// The question that refused the call, if any: the last one, if it was denied.
    pub(super) fn refuser(&self) -> Option<&QuestionId> {
        let last = self.asked.last().filter(|_| self.result.is_denial())?;
        last.denied.then_some(&last.question)
    }
}

/// The calls of a transcript.
pub(super) fn calls(lines: &[String]) -> Vec<TranscriptCall> {
    let mut calls: Vec<TranscriptCall> = Vec::new();
    for line in lines {
        match calls.last_mut().filter(|_| line.starts_with(char::is_whitespace)) {
            Some(call) => call.lines.push(line.clone()),
            None => calls.push(call(line)),
        }
    }
    for call in &mut calls {
        call.asked = asked(&call.lines[1..]);
    }
    calls
}

fn call(line: &str) -> TranscriptCall {
    let lines = vec![line.to_owned()];
    match line.rsplit_once(" = ").filter(|_| line.contains('(') && !line.starts_with('(')) {
        Some((step, result)) => TranscriptCall {
            step: step.to_owned(),
            name: step.split('(').next().unwrap_or(step).to_owned(),
            result: ReturnValue::of(result),
            asked: Vec::new(),
            lines,
        },
        None => TranscriptCall {
            step: line.to_owned(),
            name: line.to_owned(),
            result: ReturnValue::Nothing,
            asked: Vec::new(),
            lines,
        },
    }
}

/// Reads the lines below a call as questions.
fn asked(lines: &[String]) -> Vec<AskedQuestion> {
    let effects: Vec<_> = lines.iter().map(|line| line.parse::<Effect>().ok()).collect();
    let mut asked = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let begin = at;
        let (question, denied) = match &effects[at] {
            Some(Effect::Cap(cap)) => {
                let (mut verdict, number) = (cap.verdict, cap.cap);
                at += 1 + own_record(&effects[at + 1..], cap);
                if let Some(Some(Effect::Cap(next))) = effects.get(at)
                    && verdict != CapVerdict::Granted
                    && FALLBACKS.contains(&(number, SYS_ADMIN))
                    && (next.cap, next.unaudited) == (SYS_ADMIN, cap.unaudited)
                {
                    verdict = next.verdict;
                    at += 1 + own_record(&effects[at + 1..], next);
                }
                (cap_question(cap), verdict != CapVerdict::Granted)
            }
            Some(Effect::Avc(avc)) => {
                at += 1;
                (hook_question(avc), avc.verb == "denied")
            }
            _ => {
                at += 1;
                (QuestionId::Line(lines[begin].trim().to_owned()), false)
            }
        };
        asked.push(AskedQuestion { question, denied, lines: lines[begin..at].to_vec() });
    }
    asked
}

fn cap_question(cap: &CapLine) -> QuestionId {
    QuestionId::Cap { name: cap_name(cap.cap), silent: cap.unaudited }
}

pub(super) fn hook_question(avc: &Avc) -> QuestionId {
    QuestionId::Hook {
        class: avc.field("tclass").unwrap_or_default().to_owned(),
        permissions: avc.permissions.join(" "),
    }
}

/// Number of leading effects, 0 or 1, that are the record of this check.
fn own_record(effects: &[Option<Effect>], cap: &CapLine) -> usize {
    let number = cap.cap.to_string();
    match effects.first() {
        Some(Some(Effect::Avc(avc))) if avc.field("capability") == Some(number.as_str()) => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn questions(lines: &[&str]) -> Vec<String> {
        let mut all = vec!["open(x) = EACCES".to_owned()];
        all.extend(lines.iter().map(|line| format!("  {line}")));
        let show = |asked: &AskedQuestion| {
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
        let call = &calls(&[line.to_owned()])[0];
        assert_eq!((call.name.as_str(), call.result.to_string().as_str()), (name, result));
        assert_eq!(call.result.is_denial(), denial);
    }

    #[rstest]
    #[case("")]
    #[case("  an effect before every call")]
    #[case("=")]
    #[case(" = = (")]
    fn lines_out_of_shape_do_no_harm(#[case] line: &str) {
        assert_eq!(calls(&[line.to_owned()]).len(), 1);
    }
}
