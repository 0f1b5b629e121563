//! Judges one cell.

use perfsec_wire::observation::{Effect, Exit};
use perfsec_wire::step::Execve;
use perfsec_wire::{CellOutcome, Facts, Observation};

use super::{Judgement, Verdict, missing, serials};
use crate::console;
use crate::grant::Grant;
use crate::plan::PlannedCell;
use crate::transcript::{ExpectedTranscript, ExtraLines, Subject, observed_transcript};

/// Compares the outcome of a cell with its expectation; `context` is the one its subject must have.
#[must_use]
pub fn judge(
    cell: &PlannedCell,
    context: &str,
    expected: &ExpectedTranscript,
    outcome: &CellOutcome,
    facts: &Facts,
) -> Judgement {
    let observation = match outcome {
        CellOutcome::Observed(observation) => observation,
        CellOutcome::Answered(_) => {
            let reason = "the agent answered questions that the cell does not ask";
            return Judgement::unseen(Verdict::Error, reason, expected.least());
        }
        CellOutcome::NoProgram(program) => {
            let reason = format!(
                "the guest has no program `{program}`: boot a distribution with `--guest \
                 debian:trixie`, or add a static program with `--program FILE`"
            );
            return Judgement::unseen(Verdict::Skip, reason, expected.least());
        }
        CellOutcome::Failed(failure) => {
            let errno = match failure.errno {
                0 => String::new(),
                number => format!(": {}", crate::errno::Errno(number)),
            };
            let detail = match failure.detail.as_str() {
                "" => String::new(),
                detail => format!(" ({detail})"),
            };
            let reason = format!("could not {}{errno}{detail}", failure.doing);
            return Judgement::unseen(Verdict::Error, reason, expected.least());
        }
    };
    let exe = Execve::granted(cell.at.grant.0).path(&cell.case.comm);
    let others = observation.processes.iter().map(|(name, pid, _)| (name.clone(), *pid));
    let tasks: Vec<_> = observation.heirs.iter().cloned().chain(others).collect();
    let subject = Subject {
        pid: observation.subject.pid,
        comm: &cell.case.comm,
        context: &observation.subject.context,
        mode: cell.at.mode,
        exe: &exe,
        tasks: &tasks,
    };
    let extra = ExtraLines { messages: &cell.case.messages, records: &cell.case.records };
    let seen = observed_transcript(&cell.case.steps, observation, &subject, extra);
    let checks = observation.caps_unseen.is_none();
    let mut judgement = Judgement {
        verdict: Verdict::Pass,
        reason: None,
        expected: expected.fit(&seen.transcript, |effect| checks || !effect.is_check()),
        observed: seen.transcript,
        notes: seen.aside,
        known: None,
        attempts: Vec::new(),
    };

    if let Some(reason) = setup_difference(cell, context, observation) {
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
    let (wanted, seen) = (judgement.expected.transcript(), &judgement.observed);
    let wanted_calls = if checks { wanted.clone() } else { wanted.without_checks() }.calls;
    let seen_calls = if checks { seen.clone() } else { seen.without_checks() }.calls;
    if observation.exit == Exit::Overdue {
        // Only calls that returned are in the transcript. One that returned something else is the
        // kernel's fault; that the rest is missing can be the fault of a slow machine.
        let wrong = wanted_calls.iter().zip(&seen_calls).any(|(wanted, seen)| wanted != seen);
        judgement.verdict = if wrong { Verdict::Fail } else { Verdict::Error };
        judgement.reason = Some("the subject did not finish in time and was killed".to_owned());
        return judgement;
    }
    if wanted_calls != seen_calls {
        judgement.verdict = Verdict::Fail;
        let notes = missing::explain(wanted, seen, facts);
        judgement.notes.extend(notes);
        judgement.notes.extend(said(observation));
    } else {
        let shared_from = serials::shared_from(cell.case.audit, facts, &cell.case.steps);
        if let Err(reason) = serials::check(observation, shared_from) {
            judgement.verdict = Verdict::Fail;
            judgement.reason = Some(reason);
        }
    }
    judgement
}

/// A reason why the cell that ran is not the one that was requested.
fn setup_difference(cell: &PlannedCell, context: &str, seen: &Observation) -> Option<String> {
    let grant = cell.at.grant;
    let subject = &seen.subject;
    let differs = |what: &str, asked: &dyn std::fmt::Display, got: &dyn std::fmt::Display| {
        Some(format!("the subject's {what} is `{got}`, not `{asked}`"))
    };
    if seen.lost > 0 {
        return Some(format!(
            "the kernel lost {} audit record{}, so the cell cannot be judged",
            seen.lost,
            if seen.lost == 1 { "" } else { "s" }
        ));
    }
    // Without a policy, no context was requested.
    if !context.is_empty() && subject.context != context {
        return differs("context", &context, &subject.context);
    }
    if subject.uid != cell.case.uid {
        return differs("uid", &cell.case.uid, &subject.uid);
    }
    if subject.effective != grant.0 {
        return differs("effective capabilities", &grant, &Grant(subject.effective));
    }
    if subject.permitted != grant.0 {
        return differs("permitted capabilities", &grant, &Grant(subject.permitted));
    }
    if seen.mode != cell.at.mode {
        return Some(format!("SELinux was {}, not {}", seen.mode, cell.at.mode));
    }
    None
}

/// The most lines of a program's output that a failure quotes.
const QUOTED: usize = 20;

/// The last lines that programs wrote.
fn said(observation: &Observation) -> Vec<String> {
    let programs = observation.calls.iter().filter_map(|call| call.program.as_deref());
    let lines = programs.flat_map(|program| {
        let name = program.path.rsplit('/').next().unwrap_or_default();
        let lines: Vec<_> = program.output.lines().filter(|line| !line.trim().is_empty()).collect();
        let skipped = lines.len().saturating_sub(QUOTED);
        lines[skipped..].iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
    });
    lines.collect()
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
