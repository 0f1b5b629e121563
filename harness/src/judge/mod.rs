//! Compares what a cell did with what it had to do.
//!
//! The judge looks at an observation and an expectation and at nothing else: it never talks to a
//! target, and the same run record can be judged again.

mod missing;
mod serials;
mod verdict;

use perfsec_wire::observation::{Effect, Exit};
use perfsec_wire::{Facts, Observation, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::case::Expected;
use crate::console;
use crate::plan::PlannedCell;
use crate::transcript::{Shown, Subject, is_capability_check, observed};
pub use verdict::Verdict;

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, when it is not simply that expectation and observation agree or differ.
    pub reason: Option<String>,
    /// What had to be seen on this kernel.
    pub expected: Vec<Expected>,
    /// What was seen.
    pub observed: Vec<String>,
    /// What else a person should know: why a record may be missing, what was not observed.
    pub notes: Vec<String>,
    /// The known difference that makes the verdict `XFAIL` or `XPASS`.
    pub known: Option<Known>,
}

/// A difference that a kernel is known to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// Its name: the same wherever it is met.
    pub name: String,
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// Where it is discussed, if somewhere.
    pub link: Option<String>,
}

impl Judgement {
    /// A verdict on a cell of which nothing was observed.
    #[must_use]
    pub fn unseen(verdict: Verdict, reason: impl Into<String>, expected: Vec<Expected>) -> Self {
        Self {
            verdict,
            reason: Some(reason.into()),
            expected,
            observed: Vec::new(),
            notes: Vec::new(),
            known: None,
        }
    }

    /// The same of a kernel that is known to differ here. What could not be judged stays as it is.
    #[must_use]
    pub fn known(mut self, known: Known) -> Self {
        let verdict = self.verdict.known();
        if verdict != self.verdict {
            self.verdict = verdict;
            self.reason.get_or_insert_with(|| known.reason.clone());
            self.known = Some(known);
        }
        self
    }
}

/// Judges one cell.
#[must_use]
pub fn judge(
    cell: &PlannedCell,
    context: &str,
    expected: Vec<Expected>,
    outcome: &Outcome,
    facts: &Facts,
) -> Judgement {
    let observation = match outcome {
        Outcome::Observed(observation) => observation,
        Outcome::Failed(failure) => {
            let errno = match failure.errno {
                0 => String::new(),
                number => format!(": {}", crate::errno::Errno(number)),
            };
            let detail = match failure.detail.as_str() {
                "" => String::new(),
                detail => format!(" ({detail})"),
            };
            let reason = format!("could not {}{errno}{detail}", failure.doing);
            return Judgement::unseen(Verdict::Error, reason, expected);
        }
    };
    let subject = Subject {
        pid: observation.subject.pid,
        comm: &cell.case.comm,
        context: &observation.subject.context,
        mode: cell.at.mode,
    };
    let shown = Shown { messages: &cell.case.messages, syscall_records: cell.case.syscall_records };
    let seen = observed(&cell.case.steps, observation, &subject, shown);
    let mut judgement = Judgement {
        verdict: Verdict::Pass,
        reason: None,
        expected,
        observed: seen.lines,
        notes: seen.aside,
        known: None,
    };

    if let Some(reason) = not_as_asked(cell, context, observation) {
        judgement.verdict = Verdict::Error;
        judgement.reason = Some(reason);
        return judgement;
    }
    if let Some(report) = kernel_report(observation) {
        judgement.verdict = Verdict::Fail;
        judgement.reason = Some(format!("the kernel reported: {report}"));
        return judgement;
    }
    if let Some(why) = &observation.caps_unseen {
        judgement.notes.push(format!("capability checks were not compared: {why}"));
    }
    let comparable = |line: &str| observation.caps_unseen.is_none() || !is_capability_check(line);
    let wanted = judgement.expected.iter().map(|line| &*line.text).filter(|line| comparable(line));
    let agrees =
        wanted.eq(judgement.observed.iter().map(String::as_str).filter(|line| comparable(line)));
    if !agrees {
        judgement.verdict = Verdict::Fail;
        let notes = missing::explain(&judgement.expected, &judgement.observed, facts);
        judgement.notes.extend(notes);
    } else if let Err(reason) = serials::check(observation, facts, cell.case.audit) {
        judgement.verdict = Verdict::Fail;
        judgement.reason = Some(reason);
    }
    judgement
}

/// The difference between the cell that was asked for and the one that ran.
fn not_as_asked(cell: &PlannedCell, context: &str, seen: &Observation) -> Option<String> {
    let grant = cell.at.grant;
    let subject = &seen.subject;
    let differs = |what: &str, asked: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Some(format!("the subject's {what} is `{got}`, not `{asked}`"))
    };
    if seen.lost > 0 {
        return Some(format!(
            "the kernel lost {} audit record{}: nothing can be said of this cell",
            seen.lost,
            if seen.lost == 1 { "" } else { "s" }
        ));
    }
    if seen.exit == Exit::Overdue {
        return Some("the subject did not finish in time and was killed".to_owned());
    }
    // Without a policy a context says nothing.
    if !context.is_empty() && subject.context != context {
        return differs("context", &context, &subject.context);
    }
    if subject.uid != cell.case.uid {
        return differs("uid", &cell.case.uid, &subject.uid);
    }
    if subject.effective != grant.0 {
        return differs("effective capabilities", &grant, &crate::grant::Grant(subject.effective));
    }
    if subject.permitted != grant.0 {
        return differs("permitted capabilities", &grant, &crate::grant::Grant(subject.permitted));
    }
    if seen.mode != cell.at.mode {
        return Some(format!("SELinux was {}, not {}", seen.mode, cell.at.mode));
    }
    None
}

/// The title of the first panic, oops or warning that the kernel printed while the cell ran.
fn kernel_report(observation: &Observation) -> Option<String> {
    let effects =
        observation.calls.iter().flat_map(|call| &call.effects).chain(&observation.outside);
    let mut log = String::new();
    for effect in effects {
        if let Effect::Message(message) = effect {
            log.push_str(&message.text);
            log.push('\n');
        }
    }
    console::reports(&log).into_iter().next().map(|report| report.title)
}
