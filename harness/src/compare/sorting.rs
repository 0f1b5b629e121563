//! Sorts pairs of cells into groups that differ in the same way, and excludes those that cannot be
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::{Positions, guess};
use super::change::{Change, ChangeKind};
use super::difference::{Difference, difference};
use super::group::{
    CaseReason, CellSet, Cells, DifferenceKind, Exclusion, Group, SKIPPED, expected, id,
};
use super::names::CellId;
use super::question::QuestionId;
use super::side::CellKey;
use crate::judge::Verdict;
use crate::record::CellResult;

/// A group that still takes in cells.
struct GroupMembers<'a> {
    cells: BTreeSet<(&'a str, CellId<'a>)>,
    places: Positions,
    example: &'a str,
    diff: Vec<String>,
}

/// Cells with equal keys differ in the same way. The order of the keys is that of the groups.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    /// Changes that the user has not stated come first.
    stated: Option<usize>,
    /// Differences that no case expects come before those that cases explain.
    expected: bool,
    kind: DifferenceKind,
    because: Vec<CaseReason>,
    verdicts: (Verdict, Verdict),
    changes: BTreeSet<Change>,
    reasons: (Option<String>, Option<String>),
}

/// The pairs of cells, sorted.
#[derive(Default)]
pub(super) struct Sorting<'a> {
    pub(super) all: CellSet<'a>,
    pub(super) same: usize,
    pub(super) without_checks: usize,
    groups: BTreeMap<GroupKey, GroupMembers<'a>>,
    pub(super) not_judged: BTreeMap<String, CellSet<'a>>,
    pub(super) skipped: BTreeMap<String, CellSet<'a>>,
    pub(super) changed: BTreeMap<String, CellSet<'a>>,
    pub(super) only: BTreeMap<String, CellSet<'a>>,
}

impl<'a> Sorting<'a> {
    pub(super) fn only(&mut self, key: &CellKey<'a>, cell: &'a CellResult, side: &str) {
        self.only.entry(format!("only on {side}")).or_default().insert((key.policy, id(cell)));
    }

    pub(super) fn pair(
        &mut self,
        key: &CellKey<'a>,
        a: &'a CellResult,
        b: &'a CellResult,
        stated: &dyn Fn(&CellResult) -> Option<usize>,
    ) {
        let name = (key.policy, id(a));
        if let Some(why) = not_judged(a, b) {
            self.not_judged.entry(why).or_default().insert(name);
            return;
        }
        if let Some(why) = skipped(a, b) {
            self.skipped.entry(why).or_default().insert(name);
            return;
        }
        if a.case_sha256 != b.case_sha256 {
            let same = a.judgement.observed == b.judgement.observed;
            let what = if same { "the same was seen" } else { "something else was seen" };
            self.changed
                .entry(format!("the case was changed, and {what}"))
                .or_default()
                .insert(name);
            return;
        }
        let checks = !checks_unseen(a) && !checks_unseen(b);
        self.without_checks += usize::from(!checks);
        let differs = match (is_flaky(a), is_flaky(b)) {
            (false, false) => compare(a, b, checks, stated),
            _ => Some(flaky(a, b, stated)),
        };
        match differs {
            None => self.same += 1,
            Some((key, found)) => self.add(key, name, &a.name, found),
        }
    }

    /// Adds a cell that differs to its group.
    fn add(
        &mut self,
        key: GroupKey,
        name: (&'a str, CellId<'a>),
        example: &'a str,
        found: Difference,
    ) {
        let Some(group) = self.groups.get_mut(&key) else {
            let group = GroupMembers {
                cells: BTreeSet::from([name]),
                places: found.places,
                example,
                diff: found.diff,
            };
            self.groups.insert(key, group);
            return;
        };
        // The shortest diff is the example.
        if found.diff.len() < group.diff.len() {
            (group.example, group.diff) = (example, found.diff);
        }
        group.cells.insert(name);
        // A position must be true of every cell of the group.
        for (question, places) in &mut group.places {
            let others = found.places.get(question);
            places.retain(|place| others.is_some_and(|others| others.contains(place)));
        }
    }

    pub(super) fn groups(&self) -> Vec<Group> {
        let group = |(key, group): (&GroupKey, &GroupMembers<'_>)| {
            let guess = match key.kind {
                DifferenceKind::Fault => fault_words(&key.reasons),
                DifferenceKind::Flaky => flaky_words(&key.reasons),
                DifferenceKind::Verdict => {
                    vec![
                        "both saw the same, and the case expects it of only one of them".to_owned(),
                    ]
                }
                _ => guess(&key.changes, &group.places),
            };
            Group {
                stated: key.stated,
                kind: key.kind,
                verdict_a: key.verdicts.0,
                verdict_b: key.verdicts.1,
                guess,
                because: key.because.clone(),
                changes: key.changes.clone(),
                cells: self.cells(&group.cells),
                example: group.example.to_owned(),
                diff: group.diff.clone(),
            }
        };
        self.groups.iter().map(group).collect()
    }

    pub(super) fn exclusions(&self, groups: &BTreeMap<String, CellSet<'a>>) -> Vec<Exclusion> {
        let exclusion = |(why, cells): (&String, &CellSet<'a>)| Exclusion {
            why: why.clone(),
            cells: self.cells(cells),
        };
        groups.iter().map(exclusion).collect()
    }

    fn cells(&self, cells: &CellSet<'a>) -> Cells {
        Cells::of(cells, &self.all)
    }
}

/// True if capability checks could not be observed in a cell.
fn checks_unseen(cell: &CellResult) -> bool {
    cell.observation.as_ref().is_some_and(|seen| seen.caps_unseen.is_some())
}

/// Compares two results of a cell, with or without capability checks; `None` if they are the same.
fn compare(
    a: &CellResult,
    b: &CellResult,
    checks: bool,
    stated: &dyn Fn(&CellResult) -> Option<usize>,
) -> Option<(GroupKey, Difference)> {
    let (seen_a, seen_b) = (&a.judgement.observed, &b.judgement.observed);
    let found = match checks {
        true => difference(seen_a, seen_b),
        false => difference(&seen_a.without_checks(), &seen_b.without_checks()),
    };
    let verdicts = (a.judgement.verdict, b.judgement.verdict);
    let fault = |cell: &CellResult| {
        let judgement = &cell.judgement;
        judgement.reason.clone().filter(|_| judgement.verdict == Verdict::Fail)
    };
    let reasons = (fault(a), fault(b));
    let died = seen_a.is_empty() != seen_b.is_empty();
    let (kind, found) = match found {
        None if verdicts.0 == verdicts.1 && reasons.0 == reasons.1 => return None,
        None if reasons.0 != reasons.1 => (DifferenceKind::Fault, Difference::default()),
        None => (DifferenceKind::Verdict, Difference::default()),
        Some(_) if died => (DifferenceKind::Fault, Difference::default()),
        Some(found) => (DifferenceKind::of(&found.changes), found),
    };
    let because = because(a, b);
    let key = GroupKey {
        stated: stated(b),
        expected: expected(verdicts, &because),
        kind,
        because,
        verdicts,
        changes: found.changes.clone(),
        reasons: if kind == DifferenceKind::Fault { reasons } else { (None, None) },
    };
    Some((key, found))
}

fn is_flaky(cell: &CellResult) -> bool {
    cell.judgement.verdict == Verdict::Flaky
}

/// The difference of a cell that is flaky on one side. The diff is to the first attempt that does
/// not see what the other side sees.
fn flaky(
    a: &CellResult,
    b: &CellResult,
    stated: &dyn Fn(&CellResult) -> Option<usize>,
) -> (GroupKey, Difference) {
    let (flaky, steady) = if is_flaky(a) { (a, b) } else { (b, a) };
    let seen = &steady.judgement.observed;
    let other = flaky.judgement.attempts.iter().find(|attempt| attempt.observed != *seen);
    let lines = other.map_or(seen, |attempt| &attempt.observed);
    let found = if is_flaky(a) { difference(lines, seen) } else { difference(seen, lines) };
    let diff = found.map(|found| found.diff).unwrap_or_default();
    let reason = |cell: &CellResult| cell.judgement.reason.clone().filter(|_| is_flaky(cell));
    let key = GroupKey {
        stated: stated(b),
        expected: false,
        kind: DifferenceKind::Flaky,
        because: Vec::new(),
        verdicts: (a.judgement.verdict, b.judgement.verdict),
        changes: BTreeSet::new(),
        reasons: (reason(a), reason(b)),
    };
    (key, Difference { diff, ..Difference::default() })
}

fn flaky_words(reasons: &(Option<String>, Option<String>)) -> Vec<String> {
    let sides = [("A", &reasons.0), ("B", &reasons.1)].into_iter();
    sides.filter_map(|(side, reason)| Some(format!("on {side}: {}", reason.as_ref()?))).collect()
}

fn fault_words(reasons: &(Option<String>, Option<String>)) -> Vec<String> {
    let word = |side: &str, reason: &Option<String>| match reason {
        Some(reason) => format!("on {side}: {reason}"),
        None => format!("on {side}: no fault"),
    };
    vec![word("A", &reasons.0), word("B", &reasons.1)]
}

/// The reason why a pair cannot be compared, if any. A cell that is flaky on one side only has
/// changed.
fn not_judged(a: &CellResult, b: &CellResult) -> Option<String> {
    let both_flaky = is_flaky(a) && is_flaky(b);
    let one = |cell: &CellResult, side: &str| {
        let judgement = &cell.judgement;
        let bad = match judgement.verdict {
            Verdict::Flaky => both_flaky,
            verdict => verdict.is_unjudged(),
        };
        let reason = judgement.reason.as_deref().unwrap_or("no reason");
        bad.then(|| format!("{} on {side}: {reason}", judgement.verdict))
    };
    let words: Vec<_> = [one(a, "A"), one(b, "B")].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The reason why at least one side of a pair was skipped, if so.
fn skipped(a: &CellResult, b: &CellResult) -> Option<String> {
    let reason = |cell: &CellResult| {
        let reason = cell.judgement.reason.as_deref().unwrap_or("no reason");
        (cell.judgement.verdict == Verdict::Skip).then(|| reason.to_owned())
    };
    let [only_a, only_b, both] = SKIPPED;
    match (reason(a), reason(b)) {
        (Some(reason), None) => Some(format!("{only_a}: {reason}")),
        (None, Some(reason)) => Some(format!("{only_b}: {reason}")),
        (Some(one), Some(_)) => Some(format!("{both}: {one}")),
        (None, None) => None,
    }
}

/// The reasons of conditions that hold on one side only.
fn because(a: &CellResult, b: &CellResult) -> Vec<CaseReason> {
    let only = |one: &CellResult, other: &CellResult, on_b: bool| {
        let reasons = one.because.iter().filter(|reason| !other.because.contains(reason));
        reasons.map(|reason| CaseReason { reason: reason.clone(), on_b }).collect::<Vec<_>>()
    };
    let mut all = only(b, a, true);
    all.extend(only(a, b, false));
    all.sort();
    all
}

impl DifferenceKind {
    fn of(changes: &BTreeSet<Change>) -> Self {
        let any = |wanted: &dyn Fn(&Change) -> bool| changes.iter().any(wanted);
        let asked = |cap: bool, wanted: ChangeKind| {
            any(&|change| {
                let Change::Asked { question, how, .. } = change else { return false };
                let other = match question {
                    QuestionId::Line(line) => !line.is_record(),
                    _ => false,
                };
                *how == wanted && question.is_cap() == cap && !other
            })
        };
        let record = |wanted: ChangeKind| {
            any(&|change| matches!(change, Change::Record { how, .. } if *how == wanted))
        };
        if any(&|change| matches!(change, Change::Result { .. })) {
            Self::Result
        } else if asked(true, ChangeKind::New) {
            Self::ExtraCheck
        } else if asked(true, ChangeKind::Gone) {
            Self::MissingCheck
        } else if asked(false, ChangeKind::New) || record(ChangeKind::New) {
            Self::NewRecord
        } else if asked(false, ChangeKind::Gone) || record(ChangeKind::Gone) {
            Self::LostRecord
        } else if any(&|change| matches!(change, Change::Answer { .. })) {
            Self::Answer
        } else if asked(true, ChangeKind::More) || asked(true, ChangeKind::Less) {
            Self::Number
        } else if any(&|change| matches!(change, Change::Order { .. }))
            || [true, false].iter().any(|cap| asked(*cap, ChangeKind::Moved))
            || record(ChangeKind::Moved)
        {
            Self::Order
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::comparison::Comparison;
    use super::super::side::sides;
    use crate::judge::{Judgement, Verdict};
    use crate::record::{Event, Run};
    use crate::transcript::Transcript;

    const CALL: &str = "perf_event_open(software/dummy, pid=0, cpu=-1)";

    /// Compares two runs whose cells saw these lines; the first line of each is a result.
    fn compared(pairs: &[(&[&str], &[&str])], change: impl Fn(&mut Run, &mut Run)) -> Comparison {
        let text = include_str!("../../tests/report/run.jsonl");
        let events = text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        let mut run = Run::of(events).unwrap();
        run.lanes.truncate(1);
        run.lanes[0].cells.retain(|cell| cell.case == "open/cpu");
        run.lanes[0].cells.truncate(pairs.len());
        let (mut a, mut b) = (run.clone(), run);
        for (at, (lines_a, lines_b)) in pairs.iter().enumerate() {
            for (run, lines) in [(&mut a, lines_a), (&mut b, lines_b)] {
                let mut seen: Transcript = [format!("{CALL} = {}", lines[0])].into_iter().collect();
                lines[1..].iter().for_each(|line| seen.push(&format!("  {line}")));
                run.lanes[0].cells[at].judgement.observed = seen;
            }
        }
        change(&mut a, &mut b);
        Comparison::of(&sides(&a, "a")[0], &sides(&b, "b")[0], &|_, _| true).unwrap()
    }

    fn words(comparison: &Comparison) -> Vec<String> {
        let group = |group: &super::Group| format!("{:?} {}", group.kind, group.cells.count);
        comparison.groups.iter().map(group).collect()
    }

    const OPEN: &str = "avc denied { open } tclass=perf_event";
    const KERNEL: &str = "avc denied { kernel } tclass=perf_event";
    const RECORD: &str = "avc denied { perfmon } capability=38 tclass=capability2";

    #[rstest]
    #[case::errno(&["EACCES"], &["EPERM"], "Result 1")]
    #[case::errno_and_check(&["EACCES"], &["fd", "cap perfmon = granted"], "Result 1")]
    #[case::extra(&["fd"], &["fd", "cap ipc_lock = granted"], "ExtraCheck 1")]
    #[case::missing(&["fd", "cap ipc_lock = granted"], &["fd"], "MissingCheck 1")]
    #[case::new_record(&["fd", OPEN], &["fd", OPEN, KERNEL], "NewRecord 1")]
    #[case::lost_record(&["fd", OPEN, KERNEL], &["fd", OPEN], "LostRecord 1")]
    #[case::record_of_a_check(
        &["fd", "cap perfmon = granted", RECORD],
        &["fd", "cap perfmon = granted"],
        "LostRecord 1"
    )]
    #[case::order(&["fd", OPEN, KERNEL], &["fd", KERNEL, OPEN], "Order 1")]
    #[case::answer(&["fd", "cap bpf = granted"], &["fd", "cap bpf = not held"], "Answer 1")]
    #[case::number(
        &["fd", "cap bpf = granted"],
        &["fd", "cap bpf = granted", "cap bpf = granted"],
        "Number 1"
    )]
    #[case::other(&["0", "holds none"], &["0", "holds all"], "Other 1")]
    fn a_difference_has_a_kind(#[case] a: &[&str], #[case] b: &[&str], #[case] kind: &str) {
        assert_eq!(words(&compared(&[(a, b)], |_, _| {})), [kind]);
        assert!(words(&compared(&[(a, a)], |_, _| {})).is_empty());
    }

    #[test]
    fn a_cell_that_is_flaky_on_one_side_has_changed_and_on_both_is_not_compared() {
        let seen: &[&str] = &["fd", OPEN];
        let flaky = |run: &mut Run| {
            let judgement = &mut run.lanes[0].cells[0].judgement;
            let mut failed = judgement.clone();
            failed.verdict = Verdict::Fail;
            failed.observed.calls[0].effects.clear();
            *judgement = Judgement::of_attempts(judgement.clone(), vec![failed]);
        };
        let on_b = compared(&[(seen, seen)], |_, b| flaky(b));
        assert_eq!(words(&on_b), ["Flaky 1"]);
        assert_eq!(on_b.groups[0].verdict_b, Verdict::Flaky);
        assert_eq!(on_b.groups[0].guess, ["on B: 2 attempts differ: PASS, FAIL"]);
        assert!(on_b.groups[0].diff.contains(&format!("-  {OPEN}")), "{:?}", on_b.groups[0].diff);
        let on_a = compared(&[(seen, seen)], |a, _| flaky(a));
        assert_eq!(on_a.groups[0].guess, ["on A: 2 attempts differ: PASS, FAIL"]);
        assert!(on_a.groups[0].diff.contains(&format!("+  {OPEN}")), "{:?}", on_a.groups[0].diff);
        let on_both = compared(&[(seen, seen)], |a, b| {
            flaky(a);
            flaky(b);
        });
        assert!(on_both.groups.is_empty() && on_both.not_judged.len() == 1);
    }

    #[test]
    fn cells_that_differ_in_the_same_way_are_one_group_regardless_of_the_answers() {
        let pairs: &[(&[&str], &[&str])] = &[
            (&["fd"], &["fd", "cap perfmon = granted"]),
            (&["fd"], &["fd", "cap perfmon = not held", "cap sys_admin = granted"]),
            (&["fd"], &["fd", "cap perfmon = granted", RECORD]),
            (&["fd"], &["fd", "cap bpf = granted"]),
        ];
        assert_eq!(words(&compared(pairs, |_, _| {})), ["ExtraCheck 1", "ExtraCheck 3"]);
    }

    #[test]
    fn differences_that_cases_explain_come_after_those_that_they_do_not() {
        let pairs: &[(&[&str], &[&str])] =
            &[(&["fd"], &["EACCES"]), (&["fd"], &["fd", "cap bpf = granted"])];
        let comparison = compared(pairs, |_, b| {
            b.lanes[0].cells[0].because = vec!["a commit".to_owned()];
        });
        assert_eq!(words(&comparison), ["ExtraCheck 1", "Result 1"]);
        let expected: Vec<_> = comparison.groups.iter().map(super::Group::is_expected).collect();
        assert_eq!(expected, [false, true]);
        assert!(comparison.groups[1].because[0].on_b);
    }

    #[test]
    fn a_verdict_alone_and_a_fault_of_a_kernel_are_differences() {
        let pairs: &[(&[&str], &[&str])] = &[(&["fd"], &["fd"]), (&["fd"], &["fd"])];
        let comparison = compared(pairs, |_, b| {
            let judge = |at: usize, reason: Option<&str>| {
                let mut judgement = b.lanes[0].cells[at].judgement.clone();
                judgement.verdict = Verdict::Fail;
                judgement.reason = reason.map(str::to_owned);
                judgement
            };
            let (fault, verdict) = (judge(0, Some("the kernel reported: WARNING")), judge(1, None));
            b.lanes[0].cells[0].judgement = fault;
            b.lanes[0].cells[1].judgement = verdict;
        });
        assert_eq!(words(&comparison), ["Fault 1", "Verdict 1"]);
        assert_eq!(comparison.groups[0].guess[1], "on B: the kernel reported: WARNING");
    }

    #[test]
    fn capability_checks_that_one_side_could_not_see_are_not_compared() {
        let pairs: &[(&[&str], &[&str])] = &[(&["fd", "cap perfmon = granted"], &["fd"])];
        let comparison = compared(pairs, |_, b| {
            let seen = b.lanes[0].cells[0].observation.as_mut().unwrap();
            seen.caps_unseen = Some("no tracepoint".to_owned());
        });
        assert_eq!((comparison.same, comparison.groups.len()), (1, 0));
        assert!(comparison.notes[0].contains("1 cell"), "{:?}", comparison.notes);
    }
}
