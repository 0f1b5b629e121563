//! Observations of the cells, and the part of them that questions explain.

use std::collections::BTreeMap;

use crate::asks::StepQuestions;
use crate::case::{Case, Coordinates, Setting};
use crate::transcript::{
    CallHead, CallResult, Effect, ExpectedCall, ExpectedTranscript, Times, Transcript,
    TranscriptCall,
};

/// The result of a step whose questions are not complete. No syscall has it.
const OPEN: &str = "(open)";

/// The transcripts of the cells of a case.
pub(super) struct Evidence<'a> {
    pub(super) case: &'a Case,
    setting: &'a Setting<'a>,
    pub(super) cells: Vec<SeenCell<'a>>,
}

/// The observation of one cell.
pub(super) struct SeenCell<'a> {
    pub(super) at: &'a Coordinates,
    pub(super) seen: &'a Transcript,
}

/// The part of a cell's step that questions explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// The step is not performed, because it depends on one that failed.
    Skipped,
    /// The call goes on after this number of effects.
    Open(usize),
    /// The call ends with a refusal, and everything about it is explained.
    Refused,
}

impl Progress {
    /// A measure that grows with each effect that is explained, and with the end of the call.
    pub(super) fn measure(self, call: Option<&TranscriptCall>) -> usize {
        match self {
            Self::Skipped => 0,
            Self::Open(effects) => effects,
            Self::Refused => call.map_or(0, |call| call.effects.len()) + 1,
        }
    }
}

/// The result of a step whose questions are not complete.
pub(super) fn open_result() -> CallResult {
    OPEN.into()
}

impl<'a> Evidence<'a> {
    /// The transcripts that questions may explain: those with nothing but syscalls.
    pub(super) fn new(
        case: &'a Case,
        setting: &'a Setting<'a>,
        seen: &'a BTreeMap<Coordinates, Transcript>,
    ) -> Self {
        let syscalls = |seen: &Transcript| {
            seen.calls.iter().all(|call| matches!(call.head, CallHead::Syscall(_)))
        };
        let cells = seen.iter().filter(|(_, seen)| syscalls(seen));
        let cells = cells.map(|(at, seen)| SeenCell { at, seen }).collect();
        Self { case, setting, cells }
    }

    /// Forgets the cells at these places.
    pub(super) fn give_up(&mut self, places: &[usize]) {
        let mut place = 0;
        self.cells.retain(|_| {
            place += 1;
            !places.contains(&(place - 1))
        });
    }

    fn evaluate(&self, cell: usize, questions: &[StepQuestions]) -> ExpectedTranscript {
        self.case.evaluation_with(questions, self.cells[cell].at, self.setting).transcript
    }

    /// The call that a cell saw of the last step in `questions`, after `done` calls.
    pub(super) fn call(&self, cell: usize, done: usize) -> Option<&'a TranscriptCall> {
        self.cells[cell].seen.calls.get(done)
    }

    /// The explained part of a cell's last step; `None` if it computes anything that was not seen.
    pub(super) fn progress(
        &self,
        cell: usize,
        questions: &[StepQuestions],
        done: usize,
    ) -> Option<Progress> {
        let mut computed = self.evaluate(cell, questions);
        if computed.calls.len() == done {
            return Some(Progress::Skipped);
        }
        let (call, seen) = (computed.calls.pop()?, self.call(cell, done)?);
        let effects = effects(&call)?;
        let explained = call.head.is_step(&seen.head)
            && effects.len() <= seen.effects.len()
            && effects.iter().zip(&seen.effects).all(|(computed, seen)| *computed == seen);
        match call.head.result() {
            _ if !explained => None,
            Some(result) if *result == open_result() => Some(Progress::Open(effects.len())),
            _ => (call.head == seen.head && effects.len() == seen.effects.len())
                .then_some(Progress::Refused),
        }
    }

    /// The number of calls of a cell including the last step, if that is explained as a whole.
    pub(super) fn explained(
        &self,
        cell: usize,
        questions: &[StepQuestions],
        done: usize,
    ) -> Option<usize> {
        let mut computed = self.evaluate(cell, questions);
        if computed.calls.len() == done {
            return Some(done);
        }
        let (call, seen) = (computed.calls.pop()?, self.call(cell, done)?);
        // Present questions may leave counts open.
        let seen = Transcript { calls: vec![seen.clone()] };
        let fitted = ExpectedTranscript { calls: vec![call] }.fit(&seen, |_| true);
        (*fitted.transcript() == seen).then_some(done + 1)
    }
}

/// The effects of a call; `None` if it leaves a count open.
fn effects(call: &ExpectedCall) -> Option<Vec<&Effect>> {
    let once = call.effects.iter().all(|group| group.times == Times::Once);
    once.then(|| call.effects.iter().flat_map(|group| &group.effects).collect())
}
