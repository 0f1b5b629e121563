//! The answer as data.

use schemars::JsonSchema;
use serde::Serialize;

use crate::why::facts::FactLine;

/// The number of the format: it changes if a key changes its meaning.
pub(super) const FORMAT: u32 = 1;

/// Why a command was refused, and what would open access.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Why")]
pub struct WhyAnswer {
    /// The number of the format.
    pub format: u32,
    /// The command.
    pub command: String,
    /// Facts that were found in words or in a tool's messages.
    pub understood: Vec<String>,
    /// Words and options that were not understood, and changed nothing.
    pub ignored: Vec<String>,
    /// The facts that the answer depends on.
    pub facts: Vec<FactLine>,
    /// Facts that could not be read, with the reason.
    pub unread: Vec<String>,
    /// The calls, with the kernel's questions in order.
    pub calls: Vec<CallLine>,
    /// The outcome.
    pub verdict: Verdict,
    /// The first question that refuses.
    pub first: Option<RefusalLine>,
    /// The questions that would refuse next. They have to pass as well.
    pub next: Vec<RefusalLine>,
    /// The causes that the errno fits, and those that it excludes.
    pub seen: Vec<String>,
    /// The second attempt of perf, after the refusal.
    pub second_attempt: Option<String>,
    /// The reasons why something that usually helps does not.
    pub reasons: Vec<String>,
    /// Changes that open access, each computed again, safest first.
    pub remedies: Vec<RemedyLine>,
    /// SELinux rules that the calls need.
    pub rules: Vec<String>,
    /// Further paragraphs.
    pub notes: Vec<String>,
}

/// The outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The kernel refuses a call.
    Refused,
    /// No check refuses.
    Allowed,
    /// It failed, and not for lack of a privilege.
    NotARefusal,
    /// It does not use what perf's privileges are about.
    NotPerf,
}

/// A call with the kernel's questions.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CallLine {
    /// The call, as strace would write it.
    pub call: String,
    /// Why the command makes it, as a clause.
    pub purpose: String,
    /// The errno with which it fails.
    pub errno: Option<String>,
    /// The questions, as if none had ended the call.
    pub questions: Vec<QuestionLine>,
    /// The AVC records that the kernel logs, in the short form of a transcript.
    pub records: Vec<String>,
}

/// A question of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QuestionLine {
    /// The capability or permission.
    pub asks: String,
    /// The function that asks, with those that call it.
    pub place: String,
    /// The answer.
    pub answer: QuestionAnswer,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuestionAnswer {
    /// It passes.
    Passes,
    /// The capability is not in the effective set: SELinux is not asked, and nothing is logged.
    NotHeld,
    /// SELinux denies it.
    Denied,
}

/// A question that refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RefusalLine {
    /// The system call.
    pub syscall: String,
    /// The errno.
    pub errno: String,
    /// The function that asks, with those that call it.
    pub place: String,
    /// The reason, as a clause.
    pub because: String,
    /// The capabilities that it asked for in vain.
    pub not_held: Vec<String>,
    /// True if no audit record shows it.
    pub silent: bool,
}

/// Changes that together open access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RemedyLine {
    /// The changes, all of them needed.
    pub changes: Vec<ChangeLine>,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangeLine {
    /// The command or the setting.
    pub how: String,
    /// Its cost: who gets access to what, as a clause.
    pub gives_away: String,
}
