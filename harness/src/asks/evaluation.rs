//! The output of the evaluator.

use std::collections::BTreeSet;
use std::ops::Range;

use perfsec_wire::caps::PERFMON;

use crate::errno::Errno;
use crate::transcript::ExpectedTranscript;

/// The outcome of all steps.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// The steps that are performed.
    pub transcript: ExpectedTranscript,
    /// The checks of each of these steps, in order.
    pub checks: Vec<CallChecks>,
    /// True if a call is refused for lack of privilege.
    pub refuses: bool,
    /// Names of the conditions that were decisive for a question.
    pub conditions: BTreeSet<String>,
}

/// The checks of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallChecks {
    /// The checks, in order.
    pub made: Vec<MadeCheck>,
    /// Index of the first check of the question whose refusal ended the call.
    pub refusing: Option<usize>,
    /// The questions that were refused, in order: the one that ended the call, or all of them if
    /// the evaluation goes on ([`Situation::whole`](super::Situation)).
    pub refusals: Vec<RefusedQuestion>,
}

/// A question that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedQuestion {
    /// Its checks, by their index in [`CallChecks::made`]; empty if it is a plain `return`.
    pub checks: Range<usize>,
    /// The errno of the call.
    pub errno: Errno,
    /// The functions of `functions.toml` that lead to it, the outermost first.
    pub path: Vec<String>,
    /// The reason, as a clause, if functions.toml knows it.
    pub because: Option<String>,
}

/// A check that the kernel makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeCheck {
    /// The functions of `functions.toml` that lead to it, the outermost first.
    pub path: Vec<String>,
    /// The reason, as a clause, if functions.toml knows it.
    pub because: Option<String>,
    /// The type of the subject's context.
    pub domain: String,
    /// The subject of the check.
    pub about: CheckedThing,
    /// True if it passes, or is let through.
    pub passes: bool,
    /// The effects of the call that it causes, by their index in the transcript with the least
    /// counts.
    pub lines: Range<usize>,
}

/// The subject of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckedThing {
    /// A capability.
    Capability {
        /// Its number.
        cap: u32,
        /// True if it is in the effective set.
        held: bool,
        /// The class in which SELinux checks it.
        class: &'static str,
    },
    /// Permissions.
    Permissions {
        /// Type of the target's context.
        target: String,
        /// Class of the target.
        class: String,
        /// The permissions.
        permissions: Vec<String>,
    },
}

/// The check of a refused question that is to pass: the first that does not, but rather CAP_PERFMON
/// than another capability, as perf-security.rst recommends.
pub(crate) fn decisive(made: &[MadeCheck]) -> Option<&MadeCheck> {
    let lacks = |check: &MadeCheck| match check.about {
        CheckedThing::Capability { cap, held: false, .. } => Some(cap),
        _ => None,
    };
    let refused = || made.iter().filter(|check| !check.passes);
    let first = refused().next()?;
    let perfmon = refused().find(|check| lacks(check) == Some(PERFMON));
    perfmon.filter(|_| lacks(first).is_some()).or(Some(first))
}
