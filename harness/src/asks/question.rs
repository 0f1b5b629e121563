//! Questions, as a case lists them.

use std::fmt;

use super::call::CallFact;
use crate::errno::Errno;
use crate::grant::cap_name;
use crate::transcript::{CallResult, Effect};

/// The questions that the kernel asks during a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepQuestions {
    /// The line of the step in the case file, from 1.
    pub line: usize,
    /// The questions, in the kernel's order.
    pub asks: Vec<Question>,
    /// The results if no question refuses: the first whose guards hold. Without any, the step
    /// returns what it usually does.
    pub returns: Vec<Returned>,
}

/// A result of a step that no question refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The result.
    pub result: CallResult,
    /// All must hold, or the result is another.
    pub guards: Vec<Guard>,
}

impl From<CallResult> for Returned {
    fn from(result: CallResult) -> Self {
        Self { result, guards: Vec::new() }
    }
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.result.fmt(f)?;
        self.guards.iter().try_for_each(|guard| write!(f, "  {guard}"))
    }
}

impl StepQuestions {
    /// The list of a kernel function.
    #[must_use]
    pub fn of_function(name: &str) -> Self {
        let check = Check::Function { name: name.to_owned(), target: None };
        Self { line: 1, asks: vec![Question::plain(check, 1)], returns: Vec::new() }
    }

    /// The same step with the list of a kernel function instead of its own questions.
    #[must_use]
    pub fn with_function(&self, name: &str) -> Self {
        let is_effect = |question: &&Question| matches!(question.check, Check::Effect(_));
        let effects = self.asks.iter().filter(is_effect).cloned();
        let asks = Self::of_function(name).asks.into_iter().chain(effects).collect();
        Self { asks, ..self.clone() }
    }

    /// True if both ask the same, wherever that is written.
    #[must_use]
    pub fn asks_same(&self, other: &Self) -> bool {
        self.returns == other.returns
            && self.asks.len() == other.asks.len()
            && self.asks.iter().zip(&other.asks).all(|(one, other)| one.is_same(other))
    }
}

/// A question with the circumstances in which the kernel asks it, and the effect of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The check.
    pub check: Check,
    /// All must hold, or the kernel does not ask.
    pub guards: Vec<Guard>,
    /// The effect of a refusal; by default the call fails with the errno of the check.
    pub refusal: Option<Refusal>,
    /// True if the kernel asks once or more often.
    pub repeats: bool,
    /// The line in the file that lists it, from 1.
    pub line: usize,
}

impl Question {
    /// True if both are the same question, wherever it is written.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let all = |it: &Self| (it.refusal, it.repeats);
        all(self) == all(other) && self.check == other.check && self.guards == other.guards
    }

    /// A check that the kernel always makes once, in this line.
    #[must_use]
    pub fn plain(check: Check, line: usize) -> Self {
        Self { check, guards: Vec::new(), refusal: None, repeats: false, line }
    }
}

/// One thing that the kernel does to decide about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `CLASS { PERMISSION }`: `avc_has_perm()`.
    Selinux(SelinuxCheck),
    /// `capable CAP | CAP`: the next one is asked only if the one before is refused.
    Capable {
        /// Capability numbers.
        caps: Vec<u32>,
        /// Visibility of the check.
        audit: Audit,
        /// The user namespace in which the capability must be held.
        namespace: Namespace,
    },
    /// A list of `functions.toml`.
    Function {
        /// The kernel function.
        name: String,
        /// Replaces [`Target::Argument`] in the list.
        target: Option<Target>,
    },
    /// `A || B`: the next one is asked only if the one before is refused.
    Either(Vec<Check>),
    /// `A & B`: all are asked, and all must pass.
    Both(Vec<Check>),
    /// `return 0` or `return ERRNO`: ends the list, or the step if it is not in a list.
    Return(Option<Errno>),
    /// A line of the transcript that is no check, such as a kernel message.
    Effect(Effect),
}

/// An SELinux permission check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelinuxCheck {
    /// Class of the target.
    pub class: String,
    /// The permissions, all requested at once.
    pub permissions: Vec<String>,
    /// The target.
    pub target: Target,
    /// Fields of the record between `comm` and `tcontext`, such as `name="maps"`.
    pub fields: Vec<(String, String)>,
    /// False for `avc_has_perm_noaudit()`.
    pub audited: bool,
}

/// The target of an SELinux check, or of an access to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The subject itself.
    Own,
    /// The agent, which performs `[[given]]` steps.
    Agent,
    /// A process of the case, or a task that the subject cloned.
    Task(String),
    /// A type of the policy.
    Type(String),
    /// In a function's list: the target that its caller names.
    Argument,
}

/// A user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `capable()`: the initial one.
    Initial,
    /// `ns_capable()` in that of the caller.
    Own,
    /// `ns_capable()` in that of a target.
    Of(Target),
}

/// Visibility of a capability check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// Denials and grants are recorded as the policy says.
    Audited,
    /// `CAP_OPT_NOAUDIT`: no record.
    Quiet,
    /// `CAP_OPT_NOAUDIT`, and not observed: `vm_enough_memory()` asks with every mapping.
    Unseen,
}

/// A circumstance in which the kernel asks a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The circumstance.
    pub fact: Fact,
    /// False for `unless`.
    pub wanted: bool,
}

impl Guard {
    /// The reason that it gives for a question, as a clause.
    pub(super) const fn because(&self) -> Option<&'static str> {
        match self {
            Self { fact: Fact::Call(fact), wanted: true } => Some(fact.because()),
            // Upstream's highest level is 2.
            Self { fact: Fact::LevelAbove(2), wanted: true } => Some(
                "Debian's level 3 reserves perf_event_open() for CAP_SYS_ADMIN, and CAP_PERFMON \
                 does not count",
            ),
            Self { fact: Fact::LevelAbove(3), wanted: true } => Some(
                "Ubuntu's level 4 reserves perf_event_open() for CAP_SYS_ADMIN, and CAP_PERFMON \
                 does not count",
            ),
            Self { fact: Fact::Confidentiality, wanted: true } => {
                Some("lockdown confidentiality refuses it to every process")
            }
            Self { fact: Fact::BeyondMlockLimit, wanted: true } => Some(
                "the buffer exceeds perf_event_mlock_kb and RLIMIT_MEMLOCK together, which only \
                 CAP_IPC_LOCK may at this level",
            ),
            _ => None,
        }
    }
}

/// Something that holds or does not hold when the kernel comes to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `level > N`: `kernel.perf_event_paranoid` is above this.
    LevelAbove(i32),
    /// The condition with this name, of the case or of `functions.toml`.
    Condition(String),
    /// A fact about the call, in functions.toml.
    Call(CallFact),
    /// `refused`: an earlier question of the call was refused, and the call went on.
    Refused,
    /// `event-of-agent`: the agent opened the event that the call uses.
    EventOfAgent,
    /// `new-uid`: the caller asks for a user id that is none of its real, effective and saved ones.
    NewUid,
    /// `new-user-namespace`: the call makes a user namespace.
    NewUserNamespace,
    /// `lockdown-confidentiality`: the kernel is locked down at this level.
    Confidentiality,
    /// `beyond-mlock-limit`: the buffer has more pages than the caller may lock.
    BeyondMlockLimit,
    /// `another-process`: the target is not in the caller's thread group.
    AnotherProcess,
    /// `other-user`: the target has an id that is not the caller's real one.
    OtherUser,
    /// `other-fs-user`: the target has an id that is not the one with which the caller accesses
    /// files.
    OtherFsUser,
    /// `undumpable`: the target's `dumpable` flag is not 1.
    Undumpable,
    /// `more-capable`: the target has permitted capabilities that the caller lacks.
    MoreCapable,
    /// `more-than-effective`: the target has permitted capabilities that are not effective for the
    /// caller.
    MoreThanEffective,
}

/// The name of [`Fact::Refused`].
pub(super) const REFUSED: &str = "refused";

impl Fact {
    /// The facts about the caller, by name.
    pub const OF_CALLER: [(&'static str, Self); 5] = [
        ("event-of-agent", Self::EventOfAgent),
        ("new-uid", Self::NewUid),
        ("new-user-namespace", Self::NewUserNamespace),
        ("lockdown-confidentiality", Self::Confidentiality),
        ("beyond-mlock-limit", Self::BeyondMlockLimit),
    ];

    /// The facts about a target, by name.
    pub const OF_TARGET: [(&'static str, Self); 6] = [
        ("another-process", Self::AnotherProcess),
        ("other-user", Self::OtherUser),
        ("other-fs-user", Self::OtherFsUser),
        ("undumpable", Self::Undumpable),
        ("more-capable", Self::MoreCapable),
        ("more-than-effective", Self::MoreThanEffective),
    ];
}

/// The effect of a refusal on the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The call fails with this errno.
    Errno(Errno),
    /// The call goes on.
    GoOn,
    /// `recvmsg` drops the descriptor, and succeeds.
    Nothing,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.check.fmt(f)?;
        match self.refusal {
            None => {}
            Some(Refusal::Errno(errno)) => write!(f, "  or {errno}")?,
            Some(Refusal::GoOn) => f.write_str("  or go on")?,
            Some(Refusal::Nothing) => f.write_str("  or nothing")?,
        }
        self.guards.iter().try_for_each(|guard| write!(f, "  {guard}"))?;
        f.write_str(if self.repeats { "  +" } else { "" })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Selinux(check) => check.fmt(f),
            Self::Capable { caps, audit, namespace } => {
                f.write_str(match audit {
                    Audit::Audited => "",
                    Audit::Quiet => "quiet ",
                    Audit::Unseen => "unseen ",
                })?;
                let names: Vec<_> = caps.iter().map(|cap| cap_name(*cap)).collect();
                let names = names.join(" | ");
                match namespace {
                    Namespace::Initial => write!(f, "capable {names}"),
                    Namespace::Own => write!(f, "ns_capable {names}"),
                    Namespace::Of(target) => write!(f, "ns_capable {names} on {target}"),
                }
            }
            Self::Function { name, target } => {
                f.write_str(name)?;
                target.as_ref().map_or(Ok(()), |target| write!(f, " on {target}"))
            }
            Self::Either(choices) => {
                let choices: Vec<_> = choices.iter().map(ToString::to_string).collect();
                f.write_str(&choices.join(" || "))
            }
            Self::Both(checks) => {
                let checks: Vec<_> = checks.iter().map(ToString::to_string).collect();
                f.write_str(&checks.join(" & "))
            }
            Self::Return(None) => f.write_str("return 0"),
            Self::Return(Some(errno)) => write!(f, "return {errno}"),
            Self::Effect(effect) => effect.fmt(f),
        }
    }
}

impl fmt::Display for SelinuxCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quiet = if self.audited { "" } else { "quiet " };
        write!(f, "{quiet}{} {{ {} }}", self.class, self.permissions.join(" "))?;
        if self.target != Target::Own {
            write!(f, " on {}", self.target)?;
        }
        self.fields.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "self",
            Self::Agent => "agent",
            Self::Task(name) | Self::Type(name) => name,
            Self::Argument => "target",
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.wanted { "if" } else { "unless" }, self.fact)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LevelAbove(level) => write!(f, "level > {level}"),
            Self::Condition(name) => f.write_str(name),
            Self::Call(fact) => {
                let named = CallFact::ALL.iter().find(|(_, known)| known == fact);
                f.write_str(named.map_or("", |(name, _)| name))
            }
            Self::Refused => f.write_str(REFUSED),
            other => {
                let mut all = Self::OF_TARGET.iter().chain(&Self::OF_CALLER);
                let named = all.find(|(_, fact)| fact == other);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}
