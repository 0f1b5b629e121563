//! A transcript as the questions that syscalls asked: what is one act of the kernel is one question.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::grant::cap_name;
use crate::transcript::{Avc, CapLine, CapVerdict, Effect, parse_effect};

/// Numbers of capabilities (include/uapi/linux/capability.h) whose helpers fall back on CAP_SYS_ADMIN:
/// `perfmon_capable()`, `bpf_capable()`, `checkpoint_restore_ns_capable()`.
const WITH_FALLBACK: [u32; 3] = [38, 39, 40];
const SYS_ADMIN: u32 = 21;

/// A step that was performed, with what it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TranscriptCall {
    /// The line without its result: the same step of the same case on another kernel.
    pub(super) step: String,
    /// Name of the syscall.
    pub(super) name: String,
    /// What it returned.
    pub(super) result: ReturnValue,
    /// What it asked, in order.
    pub(super) asked: Vec<AskedQuestion>,
    /// All its lines, the first included.
    pub(super) lines: Vec<String>,
}

/// What a syscall returned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnValue {
    /// An error, by its name.
    Error(String),
    /// Something else: a number, or the name of what was made.
    Success(String),
    /// It is no syscall: what a subject caused outside every step, or how it ended.
    Nothing,
}

/// A question of the kernel, or something else that it told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionId {
    /// Whether the subject has this capability; where it falls back on CAP_SYS_ADMIN, that is part of it.
    Cap {
        /// Its name.
        name: String,
        /// Asked with `CAP_OPT_NOAUDIT`.
        silent: bool,
    },
    /// Whether SELinux allows this, of which there is a record.
    Hook {
        /// The class.
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
    /// Whether the answer was no; for a record of permissive mode too.
    pub(super) denied: bool,
    /// Its lines.
    pub(super) lines: Vec<String>,
}

impl QuestionId {
    /// Whether it is about a capability.
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

    /// Whether it says that the caller lacked a privilege.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self, Self::Error(name) if name.parse().is_ok_and(Errno::is_denial))
    }

    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

impl TranscriptCall {
    /// Whether it asks this.
    pub(super) fn asks(&self, question: &QuestionId) -> bool {
        self.asked.iter().any(|asked| asked.question == *question)
    }

    /// The question that refused the call, if one did: the last thing that was asked, and denied.
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

/// Reads the lines below a call.
fn asked(lines: &[String]) -> Vec<AskedQuestion> {
    let effects: Vec<_> = lines.iter().map(|line| parse_effect(line).ok()).collect();
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
                    && WITH_FALLBACK.contains(&number)
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

/// How many of these effects, none or one, are the record of this check.
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
    #[case(&["cap perfmon = refused by selinux", RECORD, "cap sys_admin = not held"], &["CAP_PERFMON denied"])]
    #[case(&["cap perfmon = granted", RECORD, "cap sys_admin = granted"], &["CAP_PERFMON", "CAP_SYS_ADMIN"])]
    #[case(&["cap sys_ptrace = not held", "cap sys_admin = not held"], &["CAP_SYS_PTRACE denied", "CAP_SYS_ADMIN denied"])]
    #[case(&["cap perfmon = not held", "cap sys_admin unaudited = granted"], &["CAP_PERFMON denied", "CAP_SYS_ADMIN (unaudited)"])]
    #[case(&["avc denied { open } tclass=perf_event"], &["perf_event { open } denied"])]
    #[case(&["holds none"], &["`holds none`"])]
    fn what_is_one_act_is_one_question(#[case] lines: &[&str], #[case] expected: &[&str]) {
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
