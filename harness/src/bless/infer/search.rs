//! The search for questions that no cell contradicts.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::evidence::{Evidence, Progress, open_result};
use super::guesses::{Guesses, Rest};
use super::precedents::Precedents;
use crate::asks::{Check, Fact, Guard, Question, Refusal, Returned, StepQuestions};
use crate::case::Level;
use crate::transcript::CallResult;

/// Evaluations of a cell before the search is given up. A case of the suite needs a few thousand.
const EVALUATIONS: usize = 100_000;

/// The end of a search.
pub(super) enum Found {
    /// Questions for each step, which explain all cells.
    Questions(Vec<StepQuestions>),
    /// The places of the cells that contradict the others, where most cells are explained furthest.
    /// Empty if no cells stand out.
    Contradiction(Vec<usize>),
}

/// A depth-first search: the guess that explains most comes first.
pub(super) struct Search<'a> {
    evidence: &'a Evidence<'a>,
    guesses: Guesses<'a>,
    /// The questions of the steps that are explained, and those of the step that is not yet.
    questions: Vec<StepQuestions>,
    /// The order in which cells are evaluated: those that contradicted last come first.
    order: Vec<usize>,
    evaluations: usize,
    /// The furthest point that the search came to.
    furthest: Furthest,
    /// True to ask the questions that leave no line in a transcript.
    with_unseen: bool,
}

#[derive(Default)]
struct Furthest {
    /// The step, and the number of effects that are explained of it.
    point: (usize, usize),
    questions: Vec<StepQuestions>,
    /// The number of calls of each cell before the step.
    done: Vec<usize>,
}

/// A question that no cell contradicts.
struct Extension {
    question: Question,
    progress: Vec<Progress>,
    gain: usize,
    cost: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, precedents: &'a Precedents) -> Self {
        let guesses = Guesses::new(evidence.case, precedents);
        Self {
            evidence,
            guesses,
            questions: Vec::new(),
            order: (0..evidence.cells.len()).collect(),
            evaluations: 0,
            furthest: Furthest::default(),
            with_unseen: false,
        }
    }

    pub(super) fn run(mut self) -> Found {
        let start = vec![0; self.evidence.cells.len()];
        let steps = &self.evidence.case.steps;
        let any_unseen = steps.iter().any(|step| self.guesses.unseen(step).is_some());
        for with_unseen in [false, true] {
            if with_unseen && !any_unseen {
                break;
            }
            self.with_unseen = with_unseen;
            self.evaluations = 0;
            self.questions.clear();
            if self.explain_from(0, &start) {
                return Found::Questions(self.questions);
            }
        }
        Found::Contradiction(self.contradicting())
    }

    /// Explains this step and all that follow. `done` is the number of calls of each cell before.
    fn explain_from(&mut self, step: usize, done: &[usize]) -> bool {
        let case = self.evidence.case;
        if step == case.steps.len() {
            let cells = self.evidence.cells.iter().zip(done);
            return cells.into_iter().all(|(cell, done)| cell.seen.calls.len() == *done);
        }
        if let Some(present) = &case.questions {
            self.questions.push(present[step].clone());
            if self.ends(step, done) {
                return true;
            }
            self.questions.pop();
        }
        for list in self.guesses.lists(&case.steps[step]) {
            self.questions.push(list.clone());
            if let Some(done) = self.explained(done) {
                if self.explain_from(step + 1, &done) {
                    return true;
                }
                self.questions.pop();
                break;
            }
            self.questions.pop();
        }
        let unseen = self.guesses.unseen(&case.steps[step]).filter(|_| self.with_unseen);
        self.questions.push(StepQuestions {
            line: 0,
            asks: unseen.into_iter().collect(),
            returns: vec![open_result().into()],
        });
        if let Some(progress) = self.progress(done)
            && self.grow(step, done, &progress, &mut HashSet::new())
        {
            return true;
        }
        self.questions.pop();
        false
    }

    /// True if the questions of this step explain all of it, and others explain what follows.
    fn ends(&mut self, step: usize, done: &[usize]) -> bool {
        self.explained(done).is_some_and(|done| self.explain_from(step + 1, &done))
    }

    /// Ends the list of questions of this step, or adds one.
    fn grow(
        &mut self,
        step: usize,
        done: &[usize],
        progress: &[Progress],
        visited: &mut HashSet<Vec<Progress>>,
    ) -> bool {
        if self.evaluations > EVALUATIONS {
            return false;
        }
        self.note(step, done, progress);
        for returns in self.results(done, progress) {
            self.last().returns = returns.into_iter().map(Returned::from).collect();
            if self.ends(step, done) {
                return true;
            }
        }
        self.last().returns = vec![open_result().into()];
        for extension in self.extensions(step, done, progress) {
            if visited.insert(extension.progress.clone()) {
                self.last().asks.push(extension.question);
                if self.grow(step, done, &extension.progress, visited) {
                    return true;
                }
                self.last().asks.pop();
            }
        }
        false
    }

    /// The results that the step may have if no question refuses: the usual one, or the one that
    /// all cells saw.
    fn results(&self, done: &[usize], progress: &[Progress]) -> Vec<Option<CallResult>> {
        let open = (0..done.len()).filter(|cell| matches!(progress[*cell], Progress::Open(_)));
        let mut seen = open.filter_map(|cell| self.evidence.call(cell, done[cell])?.head.result());
        let first = seen.next().cloned();
        let same = first.filter(|first| seen.all(|other| other == first));
        [None].into_iter().chain(same.map(Some)).collect()
    }

    /// The questions that no cell contradicts, the best first.
    fn extensions(&mut self, step: usize, done: &[usize], progress: &[Progress]) -> Vec<Extension> {
        let rests = self.rests(done, progress);
        let now = self.measure(done, progress);
        let step = &self.evidence.case.steps[step];
        let mut guards: Vec<Option<Guard>> = self.guesses.guards().map(Some).collect();
        // A condition is guessed only where the check is contradicted without.
        guards.insert(0, None);
        let mut extensions: Vec<Extension> = Vec::new();
        for guess in self.guesses.checks(step, &rests) {
            let questions = Guesses::refusals(&guess.check, step, &rests);
            let before = extensions.len();
            let guards =
                if matches!(guess.check, Check::Either(_)) { &guards[..1] } else { &guards };
            for (guard, guard_cost) in guards.iter().zip(0..) {
                // A guard must keep the check away from the cell that contradicts it.
                let contradicting = self.evidence.cells[self.order[0]].at.paranoid;
                if guard_cost > 0 && guard.as_ref().is_some_and(|it| asks_at(it, contradicting)) {
                    continue;
                }
                let guarded = |question: &Question| Question {
                    guards: guard.clone().into_iter().collect(),
                    ..question.clone()
                };
                // All show the same lines, so if one that goes on is contradicted, all are.
                let lenient = questions.iter().find(|it| it.refusal == Some(Refusal::GoOn));
                if lenient.is_some_and(|it| self.with_question(&guarded(it), done).is_none()) {
                    continue;
                }
                for (question, refusal_cost) in questions.iter().zip(0..) {
                    let question = guarded(question);
                    let Some(progress) = self.with_question(&question, done) else { continue };
                    let gain = self.measure(done, &progress).saturating_sub(now);
                    let cost = guess.cost + 5 * guard_cost + refusal_cost;
                    extensions.push(Extension { question, progress, gain, cost });
                }
                if extensions.len() > before {
                    break;
                }
            }
        }
        extensions.retain(|extension| extension.gain > 0);
        extensions.sort_by_key(|extension| (Reverse(extension.gain), extension.cost));
        extensions
    }

    /// The explained part of each cell if the step asks this, too.
    fn with_question(&mut self, question: &Question, done: &[usize]) -> Option<Vec<Progress>> {
        self.last().asks.push(question.clone());
        let progress = self.progress(done);
        self.last().asks.pop();
        progress
    }

    fn last(&mut self) -> &mut StepQuestions {
        self.questions.last_mut().expect("a step pushes its questions before it changes them")
    }

    /// The unexplained rest of each cell whose call goes on.
    fn rests(&self, done: &[usize], progress: &[Progress]) -> Vec<Rest<'a>> {
        let rest = |cell: usize| match progress[cell] {
            Progress::Open(explained) => {
                let call = self.evidence.call(cell, done[cell])?;
                Some(Rest { call, effects: &call.effects[explained..] })
            }
            _ => None,
        };
        (0..done.len()).filter_map(rest).collect()
    }

    fn measure(&self, done: &[usize], progress: &[Progress]) -> usize {
        let cells = progress.iter().enumerate();
        cells.map(|(cell, it)| it.measure(self.evidence.call(cell, done[cell]))).sum()
    }

    /// The explained part of each cell; `None` if one computes anything that it did not see.
    fn progress(&mut self, done: &[usize]) -> Option<Vec<Progress>> {
        self.each_cell(|search, cell| search.progress_of(cell, done))
    }

    /// The number of calls of each cell including this step, if that is explained as a whole.
    fn explained(&mut self, done: &[usize]) -> Option<Vec<usize>> {
        self.each_cell(|search, cell| {
            search.evidence.explained(cell, &search.questions, done[cell])
        })
    }

    /// Evaluates all cells; `None` if one is contradicted.
    fn each_cell<T: Clone>(
        &mut self,
        evaluate: impl Fn(&Self, usize) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut results = vec![None; self.order.len()];
        for place in 0..self.order.len() {
            let cell = self.order[place];
            self.evaluations += 1;
            let result = evaluate(self, cell);
            if result.is_none() {
                self.order[..=place].rotate_right(1);
                return None;
            }
            results[cell] = result;
        }
        results.into_iter().collect()
    }

    fn note(&mut self, step: usize, done: &[usize], progress: &[Progress]) {
        let point = (step, self.measure(done, progress));
        if point > self.furthest.point || self.furthest.questions.is_empty() {
            let (questions, done) = (self.questions.clone(), done.to_vec());
            self.furthest = Furthest { point, questions, done };
        }
    }

    /// The fewest cells without which the search would have come further.
    fn contradicting(&mut self) -> Vec<usize> {
        let Furthest { questions, done, point: (step, _) } = std::mem::take(&mut self.furthest);
        self.questions = questions;
        let cells = 0..done.len();
        let now: Option<Vec<_>> = cells.clone().map(|cell| self.progress_of(cell, &done)).collect();
        let Some(now) = now.filter(|_| !self.questions.is_empty()) else { return Vec::new() };
        let mut against: Vec<Vec<usize>> = Vec::new();
        for returns in self.results(&done, &now) {
            self.last().returns = returns.into_iter().map(Returned::from).collect();
            let explained =
                |cell| self.evidence.explained(cell, &self.questions, done[cell]).is_some();
            against.push(cells.clone().filter(|cell| !explained(*cell)).collect());
        }
        self.last().returns = vec![open_result().into()];
        let rests = self.rests(&done, &now);
        let step = &self.evidence.case.steps[step];
        for guess in self.guesses.checks(step, &rests) {
            for question in Guesses::refusals(&guess.check, step, &rests) {
                self.last().asks.push(question);
                let after: Vec<_> =
                    cells.clone().map(|cell| self.progress_of(cell, &done)).collect();
                self.last().asks.pop();
                let gains = after
                    .iter()
                    .zip(&now)
                    .any(|(after, now)| after.is_some_and(|after| after != *now));
                if gains {
                    against.push(cells.clone().filter(|cell| after[*cell].is_none()).collect());
                }
            }
        }
        let against = against.into_iter().filter(|cells| !cells.is_empty());
        against.min_by_key(Vec::len).unwrap_or_default()
    }

    fn progress_of(&self, cell: usize, done: &[usize]) -> Option<Progress> {
        self.evidence.progress(cell, &self.questions, done[cell])
    }
}

/// True if the kernel asks a question with this guard at a level.
fn asks_at(guard: &Guard, level: Level) -> bool {
    match guard.fact {
        Fact::LevelAbove(above) => (level.value(false) > above) == guard.wanted,
        _ => true,
    }
}
