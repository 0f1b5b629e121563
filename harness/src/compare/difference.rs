//! Finds the differences between two transcripts of one cell, without those that follow from
//! others.

use std::collections::{BTreeMap, BTreeSet};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::change::{Change, ChangeKind};
use super::question::{AskedQuestion, AskingCall, QuestionId, ReturnValue, calls};
use crate::transcript::{CallResult, CapLine, Effect, Transcript, TranscriptCall};

/// The position of a question that only one side asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Position {
    /// Before this question, which both sides ask.
    Before(QuestionId),
    /// Before a hook of this class, which both sides ask.
    BeforeHook(String),
    /// Before the kernel finds this error, which both sides return.
    BeforeError(String),
    /// Right after this question, which is granted.
    Granted(QuestionId),
    /// Right after this question, which is denied.
    Denied(QuestionId),
}

/// Everything that differs between two transcripts.
#[derive(Clone, Debug, Default)]
pub(super) struct Difference {
    pub(super) changes: BTreeSet<Change>,
    /// Positions of the questions that are new or gone.
    pub(super) places: BTreeMap<QuestionId, BTreeSet<Position>>,
    /// A diff of the calls that differ.
    pub(super) diff: Vec<String>,
}

/// Compares two transcripts; `None` if they are the same.
pub(super) fn difference(a: &Transcript, b: &Transcript) -> Option<Difference> {
    if a == b {
        return None;
    }
    let (a, b) = (calls(a), calls(b));
    let mut found = DifferenceBuilder::default();
    let (steps_a, steps_b) = (steps(&a), steps(&b));
    for op in capture_diff_slices(Algorithm::Myers, &steps_a, &steps_b) {
        match op {
            DiffOp::Equal { old_index, new_index, len } => {
                (0..len).for_each(|at| found.both(&a[old_index + at], &b[new_index + at]));
            }
            op => {
                a[op.old_range()].iter().for_each(|call| found.one(call, false));
                b[op.new_range()].iter().for_each(|call| found.one(call, true));
            }
        }
    }
    Some(found.end())
}

fn steps<'a>(calls: &'a [AskingCall<'_>]) -> Vec<&'a str> {
    calls.iter().map(|call| call.step.as_str()).collect()
}

/// Collects the differences, call by call.
#[derive(Default)]
struct DifferenceBuilder {
    out: Difference,
    /// How often each syscall asked each question on A and on B, for each call.
    counts: BTreeMap<(String, QuestionId), Vec<(usize, usize)>>,
    /// Records that only A has, and those that only B has; true if both sides ask the question.
    records: [Vec<(String, QuestionId, bool)>; 2],
    /// Calls that the diff already shows: calls that differ in the same way are shown once.
    shown: BTreeSet<ShownCall>,
    elided: bool,
}

type ShownCall = ((String, Vec<Effect>, Vec<Effect>), (bool, bool));

impl DifferenceBuilder {
    /// Compares a step that both sides performed.
    fn both(&mut self, a: &AskingCall<'_>, b: &AskingCall<'_>) {
        if a.call == b.call {
            self.elided = true;
            return;
        }
        let name = &a.name;
        let (effects_a, effects_b) = (&a.call.effects, &b.call.effects);
        if a.result() != b.result() {
            let (from, to) = without_names(a, b);
            let alone = effects_a == effects_b;
            self.out.changes.insert(Change::Result { call: name.clone(), from, to, alone });
        }
        let refusers = self.refusers(a, b);
        if !self.order(name, effects_a, effects_b) {
            self.asked(a, b, refusers);
        }
        let shown = (name.clone(), effects_a.clone(), effects_b.clone());
        match self.shown.insert((shown, (a.failed(), b.failed()))) {
            true => self.show(Some(a.call), Some(b.call)),
            false => self.elided = true,
        }
    }

    /// Notes if another question refuses the call, or if a denial refuses it on one side only. True
    /// if the refusing questions differ.
    fn refusers(&mut self, a: &AskingCall<'_>, b: &AskingCall<'_>) -> bool {
        let call = a.name.clone();
        let change = match (a.refuser(), b.refuser()) {
            (Some(from), Some(to)) if from != to && !b.asks(from) => {
                Change::Refuser { call, from: from.clone(), to: to.clone() }
            }
            (Some(one), None) if a.asked == b.asked && !b.failed() => {
                Change::Demand { call, question: one.clone(), now: false }
            }
            (None, Some(one)) if a.asked == b.asked && !a.failed() => {
                Change::Demand { call, question: one.clone(), now: true }
            }
            _ => return false,
        };
        let refusers = matches!(change, Change::Refuser { .. });
        self.out.changes.insert(change);
        refusers
    }

    /// Notes the first change of order, if the lines differ in nothing else. True if so.
    fn order(&mut self, name: &str, a: &[Effect], b: &[Effect]) -> bool {
        let sorted = |effects: &[Effect]| {
            let mut effects = effects.to_vec();
            effects.sort();
            effects
        };
        if sorted(a) != sorted(b) {
            return false;
        }
        if let Some((a, b)) = a.iter().zip(b).find(|(a, b)| a != b) {
            let (first, second) = (QuestionId::of(b), QuestionId::of(a));
            self.out.changes.insert(Change::Order { call: name.to_owned(), first, second });
        }
        true
    }

    /// Compares the questions of two calls, up to the point where only one of them goes on.
    fn asked(&mut self, call_a: &AskingCall<'_>, call_b: &AskingCall<'_>, refusers: bool) {
        let (a, b) = comparable(call_a, call_b, refusers);
        self.count(&call_a.name, &a, &b);
        let open = self.align(&call_a.name, &a, &b);
        if let Some(error @ CallResult::Error(_)) = call_a.result()
            && !call_a.is_denied()
            && (call_a.result() == call_b.result() || call_b.is_denied())
        {
            for question in open {
                self.place(&question, Position::BeforeError(error.to_string()));
            }
        }
    }

    /// Counts how often each side asked each question.
    fn count(&mut self, name: &str, a: &[AskedQuestion<'_>], b: &[AskedQuestion<'_>]) {
        let mut counts: BTreeMap<&QuestionId, (usize, usize)> = BTreeMap::new();
        a.iter().for_each(|asked| counts.entry(&asked.question).or_default().0 += 1);
        b.iter().for_each(|asked| counts.entry(&asked.question).or_default().1 += 1);
        let mut pairs = a.iter().zip(b).map(|(a, b)| (&a.question, &b.question));
        if counts.values().all(|(a, b)| a == b)
            && let Some((second, first)) = pairs.find(|(a, b)| a != b)
        {
            let (first, second) = (first.clone(), second.clone());
            self.out.changes.insert(Change::Order { call: name.to_owned(), first, second });
        }
        for (question, pair) in counts {
            self.counts.entry((name.to_owned(), question.clone())).or_default().push(pair);
        }
    }

    /// Compares the questions that both asked, and finds the positions of those that only one
    /// asked. Returns those that have nothing after them.
    fn align(
        &mut self,
        name: &str,
        a: &[AskedQuestion<'_>],
        b: &[AskedQuestion<'_>],
    ) -> Vec<QuestionId> {
        let mut last: Option<&AskedQuestion<'_>> = None;
        let mut waiting = Vec::new();
        for op in capture_diff_slices(Algorithm::Myers, &questions(a), &questions(b)) {
            if let DiffOp::Equal { old_index, new_index, len } = op {
                let (a, b) = (&a[old_index..old_index + len], &b[new_index..new_index + len]);
                a.iter().zip(b).for_each(|(a, b)| self.answers(name, a, b));
                if let (Some(first), Some(end)) = (b.first(), b.last()) {
                    for question in waiting.drain(..) {
                        if let QuestionId::Hook { class, .. } = &first.question {
                            self.place(&question, Position::BeforeHook(class.clone()));
                        }
                        if !matches!(first.question, QuestionId::Line(_)) {
                            self.place(&question, Position::Before(first.question.clone()));
                        }
                    }
                    last = Some(end);
                }
                continue;
            }
            let (gone, new) = (&a[op.old_range()], &b[op.new_range()]);
            for (asked, now) in [(gone, false), (new, true)] {
                let mut last = last;
                for asked in asked {
                    if let Some(last) = last.filter(|last| last.question.is_cap()) {
                        let place = if last.denied { Position::Denied } else { Position::Granted };
                        self.place(&asked.question, place(last.question.clone()));
                    }
                    waiting.push(asked.question.clone());
                    self.records(name, asked, now, false);
                    // A question that B does not ask is no position for what follows on B.
                    last = if now { Some(asked) } else { last };
                }
            }
        }
        waiting
    }

    fn place(&mut self, question: &QuestionId, place: Position) {
        self.out.places.entry(question.clone()).or_default().insert(place);
    }

    /// Collects the records of a capability check; a record of another question is that question
    /// itself.
    fn records(&mut self, name: &str, asked: &AskedQuestion<'_>, now: bool, both: bool) {
        if !asked.question.is_cap() {
            return;
        }
        for effect in asked.effects {
            if let Effect::Avc(avc) = effect {
                let record = (name.to_owned(), QuestionId::of_record(avc), both);
                self.records[usize::from(now)].push(record);
            }
        }
    }

    /// Compares the answers and records of a question that both sides ask.
    fn answers(&mut self, name: &str, a: &AskedQuestion<'_>, b: &AskedQuestion<'_>) {
        if a.effects == b.effects {
            return;
        }
        let call = || name.to_owned();
        if let QuestionId::Hook { .. } = a.question {
            for field in fields(a.effects, b.effects) {
                let record = a.question.clone();
                self.out.changes.insert(Change::Field { call: call(), record, field });
            }
            return;
        }
        let (checks_a, checks_b) = (checks(a.effects), checks(b.effects));
        match (checks_a.first(), checks_b.first()) {
            (Some(one), Some(other)) if one != other => {
                let words = |line: &CapLine| line.verdict.words().to_owned();
                let (from, to) = (words(one), words(other));
                let question = a.question.clone();
                self.out.changes.insert(Change::Answer { call: call(), question, from, to });
            }
            _ => match (checks_a.get(1), checks_b.get(1)) {
                (Some(one), Some(other)) if one != other => {
                    let (from, to) = (one.to_string(), other.to_string());
                    let question = a.question.clone();
                    self.out.changes.insert(Change::Answer { call: call(), question, from, to });
                }
                (Some(only), None) | (None, Some(only)) => {
                    let how = if checks_a.len() > checks_b.len() {
                        ChangeKind::Gone
                    } else {
                        ChangeKind::New
                    };
                    let question = QuestionId::of_check(only);
                    self.place(&question, Position::Denied(a.question.clone()));
                    self.out.changes.insert(Change::Asked { call: call(), question, how });
                }
                _ => {}
            },
        }
        let is_record = |effect: &&Effect| matches!(effect, Effect::Avc(_));
        if a.effects.iter().filter(is_record).ne(b.effects.iter().filter(is_record)) {
            self.records(name, a, false, true);
            self.records(name, b, true, true);
        }
    }

    /// Notes a step that only one side performed.
    fn one(&mut self, call: &AskingCall<'_>, now: bool) {
        // A step that is missing because an earlier one failed is not a difference of its own.
        let explained = self.out.changes.iter().any(|it| matches!(it, Change::Result { .. }));
        if !explained {
            self.out.changes.insert(Change::Reached { call: call.name.clone(), now });
        }
        match now {
            true => self.show(None, Some(call.call)),
            false => self.show(Some(call.call), None),
        }
    }

    fn show(&mut self, a: Option<&TranscriptCall>, b: Option<&TranscriptCall>) {
        if std::mem::take(&mut self.elided) {
            self.out.diff.push(" ...".to_owned());
        }
        let lines = |call: Option<&TranscriptCall>| {
            call.into_iter().flat_map(TranscriptCall::lines).collect::<Vec<_>>()
        };
        let short = |call: Option<&TranscriptCall>| {
            call.into_iter().flat_map(TranscriptCall::abbreviated).collect::<Vec<_>>()
        };
        let (short_a, short_b) = (short(a), short(b));
        for op in capture_diff_slices(Algorithm::Myers, &lines(a), &lines(b)) {
            let mut signed = |sign: char, lines: &[String]| {
                self.out.diff.extend(lines.iter().map(|line| format!("{sign}{line}")));
            };
            match op {
                DiffOp::Equal { .. } => signed(' ', &short_a[op.old_range()]),
                op => {
                    signed('-', &short_a[op.old_range()]);
                    signed('+', &short_b[op.new_range()]);
                }
            }
        }
    }

    fn end(mut self) -> Difference {
        for ((call, question), pairs) in std::mem::take(&mut self.counts) {
            if let Some(how) = how(&pairs) {
                self.out.changes.insert(Change::Asked { call, question, how });
            }
        }
        // Permissive mode logs a denial once, at the first check. A record that moves to another
        // check because that one now comes first is not a change of its own.
        let [mut lost, mut gained] = std::mem::take(&mut self.records);
        let mut moved = Vec::new();
        lost.retain(|one| match gained.iter().position(|other| other.1 == one.1) {
            Some(at) => {
                moved.push((one.clone(), gained.remove(at)));
                false
            }
            None => true,
        });
        let mut record = |record: &(String, QuestionId, bool), how| {
            let (call, record) = (record.0.clone(), record.1.clone());
            self.out.changes.insert(Change::Record { call, record, how });
        };
        lost.iter().filter(|it| it.2).for_each(|it| record(it, ChangeKind::Gone));
        gained.iter().filter(|it| it.2).for_each(|it| record(it, ChangeKind::New));
        moved.iter().filter(|(a, b)| a.2 && b.2).for_each(|(_, it)| record(it, ChangeKind::Moved));
        if self.elided {
            self.out.diff.push(" ...".to_owned());
        }
        self.out.drop_what_follows();
        self.out
    }
}

/// The questions of two calls that can be compared. If only one side fails, or is refused by a
/// question that the other does not ask, its call ends there: what the other asks after that point
/// is not a difference of its own. Nor is that question, if `refusers` is true, because the
/// refusing questions then already differ.
fn comparable<'a>(
    a: &AskingCall<'a>,
    b: &AskingCall<'a>,
    refusers: bool,
) -> (Vec<AskedQuestion<'a>>, Vec<AskedQuestion<'a>>) {
    let ops = capture_diff_slices(Algorithm::Myers, &questions(&a.asked), &questions(&b.asked));
    let common = ops.iter().rfind(|op| matches!(op, DiffOp::Equal { .. }));
    let (end_a, end_b) = common.map_or((0, 0), |op| (op.old_range().end, op.new_range().end));
    let part = |one: &AskingCall<'a>, other: &AskingCall<'a>, end: usize| {
        let own = |one: &AskingCall<'_>, other: &AskingCall<'_>| {
            one.refuser().is_some_and(|it| !other.asks(it))
        };
        let mut asked = one.asked.clone();
        let failed = other.failed() && !other.is_denied() && !one.failed();
        if failed || own(other, one) || refusers && own(one, other) {
            asked.truncate(end);
        }
        asked
    };
    (part(a, b, end_a), part(b, a, end_b))
}

fn questions<'a>(asked: &'a [AskedQuestion<'_>]) -> Vec<&'a QuestionId> {
    asked.iter().map(|it| &it.question).collect()
}

impl Difference {
    /// A subject that holds other capabilities after an exec gets other answers. Drops those
    /// changes.
    fn drop_what_follows(&mut self) {
        let holds = |change: &Change| match change {
            Change::Asked { question: QuestionId::Line(line), .. } => {
                matches!(line, Effect::Holds(_))
            }
            _ => false,
        };
        if self.changes.iter().any(holds) {
            self.changes.retain(|it| !matches!(it, Change::Answer { .. } | Change::Record { .. }));
        }
    }
}

/// The change in how often a question is asked, from its numbers on A and B in each call; `None` if
/// there is no change.
fn how(pairs: &[(usize, usize)]) -> Option<ChangeKind> {
    let (more, less) = (pairs.iter().any(|(a, b)| a < b), pairs.iter().any(|(a, b)| a > b));
    let total = pairs.iter().fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    match (more, less) {
        (false, false) => None,
        (true, false) if pairs.iter().any(|(a, b)| *a == 0 && *b > 0) => Some(ChangeKind::New),
        (false, true) if pairs.iter().any(|(a, b)| *a > 0 && *b == 0) => Some(ChangeKind::Gone),
        _ if total.0 < total.1 => Some(ChangeKind::More),
        _ if total.0 > total.1 => Some(ChangeKind::Less),
        _ => Some(ChangeKind::Moved),
    }
}

/// Return values without the name of a new object, if the other one is an error.
fn without_names(a: &AskingCall<'_>, b: &AskingCall<'_>) -> (ReturnValue, ReturnValue) {
    let short = |one: &AskingCall<'_>, other: &AskingCall<'_>| match ReturnValue::of(&one.call.head)
    {
        ReturnValue::Success(_) if other.failed() => ReturnValue::Success("success".to_owned()),
        one => one,
    };
    (short(a, b), short(b, a))
}

fn checks(effects: &[Effect]) -> Vec<CapLine> {
    let check = |effect: &Effect| match effect {
        Effect::Cap(cap) => Some(*cap),
        _ => None,
    };
    effects.iter().filter_map(check).collect()
}

/// Names of the fields in which two records differ.
fn fields(a: &[Effect], b: &[Effect]) -> BTreeSet<String> {
    let fields = |effects: &[Effect]| match effects.first() {
        Some(Effect::Avc(avc)) => avc.fields.iter().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let (a, b) = (fields(a), fields(b));
    a.symmetric_difference(&b).map(|(field, _)| field.clone()).collect()
}
