//! What comes of comparing two sides, as data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::cause::{Places, guess};
use super::change::{Change, Difference, How, difference};
use super::names::{CellId, globs};
use super::question::Question;
use super::side::{Key, Side, one_policy_each};
use crate::case::Coordinates;
use crate::judge::Verdict;
use crate::record::CellResult;

/// Two sides, compared cell by cell.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first side.
    pub a: SideWords,
    /// The second side.
    pub b: SideWords,
    /// What a reader must know before the rest: that a policy differs, what was not compared.
    pub notes: Vec<String>,
    /// How many cells both sides have.
    pub common: usize,
    /// How many of them are the same on both.
    pub same: usize,
    /// Those that differ, in groups that differ in the same way; what is worst comes first.
    pub groups: Vec<Group>,
    /// Cells that one side or both could not carry out, by the reason.
    pub not_judged: Vec<Apart>,
    /// Cells that one side skipped, by the reason.
    pub skipped: Vec<Apart>,
    /// Cells whose case was changed between the runs: no kernel is blamed for what differs.
    pub changed_cases: Vec<Apart>,
    /// Cells that only one side has.
    pub only: Vec<Apart>,
}

/// A side in words.
#[derive(Clone, Debug, Serialize)]
pub struct SideWords {
    /// Where it comes from: a run record's or a kernel's name.
    pub from: String,
    /// The kernel's release.
    pub release: String,
    /// The kernel and its origin.
    pub kernel: String,
    /// The policies.
    pub policies: Vec<String>,
    /// The kernel's version: what the side is called where it must be short.
    pub version: String,
}

/// Cells that differ in the same way.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What differs.
    pub kind: Kind,
    /// Their verdicts on A.
    pub verdict_a: Verdict,
    /// Their verdicts on B.
    pub verdict_b: Verdict,
    /// A first guess at the cause, one sentence for each syscall.
    pub guess: Vec<String>,
    /// What the cases say of it: reasons of conditions that hold on one side only.
    pub because: Vec<Because>,
    /// Everything that differs.
    pub changes: BTreeSet<Change>,
    /// The cells.
    pub cells: Cells,
    /// The cell of which the diff is.
    pub example: String,
    /// A diff from A to B of one of them.
    pub diff: Vec<String>,
}

/// Why a case expects something else of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Because {
    /// The commit, document or patch that makes the difference.
    pub reason: String,
    /// Whether it is so on B; else it is so on A.
    pub on_b: bool,
}

/// Cells that are told apart from those that differ.
#[derive(Clone, Debug, Serialize)]
pub struct Apart {
    /// Why.
    pub why: String,
    /// The cells.
    pub cells: Cells,
}

/// Cells, in full and in few words.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cells {
    /// How many.
    pub count: usize,
    /// Globs that select them among those that were compared, each with how many it selects.
    pub globs: Vec<(String, usize)>,
    /// Their names.
    pub names: Vec<String>,
}

/// What differs first and foremost, in the order in which it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The kernel died, or reported a fault.
    Fault,
    /// A syscall returns something else.
    Result,
    /// A capability is checked that was not.
    ExtraCheck,
    /// A capability is no longer checked.
    MissingCheck,
    /// A record is new.
    NewRecord,
    /// A record is lost.
    LostRecord,
    /// The same in another order, or by another call.
    Order,
    /// A check has another answer.
    Answer,
    /// Checks are made more or less often.
    Number,
    /// Something else.
    Other,
    /// Nothing but the verdict.
    Verdict,
}

/// Two sides without a cell in common.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compare {a} with {b}: they have no cell in common: cases, filters or policies differ")]
pub struct NothingInCommon {
    pub(super) a: String,
    pub(super) b: String,
}

impl Kind {
    fn of(changes: &BTreeSet<Change>) -> Self {
        let any = |wanted: &dyn Fn(&Change) -> bool| changes.iter().any(wanted);
        let asked = |cap: bool, wanted: How| {
            any(&|change| {
                matches!(change, Change::Asked { question, how, .. }
                    if *how == wanted && question.is_cap() == cap
                        && !matches!(question, Question::Told(_)))
            })
        };
        let record = |wanted: How| {
            any(&|change| matches!(change, Change::Record { how, .. } if *how == wanted))
        };
        if any(&|change| matches!(change, Change::Result { .. })) {
            Self::Result
        } else if asked(true, How::New) {
            Self::ExtraCheck
        } else if asked(true, How::Gone) {
            Self::MissingCheck
        } else if asked(false, How::New) || record(How::New) {
            Self::NewRecord
        } else if asked(false, How::Gone) || record(How::Gone) {
            Self::LostRecord
        } else if any(&|change| matches!(change, Change::Answer { .. })) {
            Self::Answer
        } else if asked(true, How::More) || asked(true, How::Less) {
            Self::Number
        } else if any(&|change| matches!(change, Change::Order { .. }))
            || [true, false].iter().any(|cap| asked(*cap, How::Moved))
            || record(How::Moved)
        {
            Self::Order
        } else {
            Self::Other
        }
    }
}

impl Group {
    /// Whether the cases promise the difference: both sides pass, and a condition on the kernel says why.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        expected((self.verdict_a, self.verdict_b), &self.because)
    }
}

fn expected(verdicts: (Verdict, Verdict), because: &[Because]) -> bool {
    verdicts == (Verdict::Pass, Verdict::Pass) && !because.is_empty()
}

/// A group while cells come in.
struct Growing<'a> {
    cells: BTreeSet<(&'a str, CellId<'a>)>,
    places: Places,
    example: &'a str,
    diff: Vec<String>,
}

/// What makes cells differ in the same way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    /// What nobody expects comes before what the cases explain.
    expected: bool,
    kind: Kind,
    because: Vec<Because>,
    verdicts: (Verdict, Verdict),
    changes: BTreeSet<Change>,
    reasons: (Option<String>, Option<String>),
}

impl Comparison {
    /// Compares those cells of two sides that `wanted` selects.
    ///
    /// # Errors
    ///
    /// When there is none that both have.
    pub fn of<'a>(
        a: &Side<'a>,
        b: &Side<'a>,
        wanted: &dyn Fn(&str, &Coordinates) -> bool,
    ) -> Result<Self, NothingInCommon> {
        let one_policy = one_policy_each(a, b);
        let cells = |side: &Side<'a>| {
            let mut cells = side.cells(one_policy);
            cells.retain(|_, cell| wanted(&cell.name, &cell.at));
            cells
        };
        // Whatever order they ran in, the same is said of them.
        fn sorted<'b, 'a>(
            cells: &'b HashMap<Key<'a>, &'a CellResult>,
        ) -> Vec<(&'b Key<'a>, &'b &'a CellResult)> {
            let mut cells: Vec<_> = cells.iter().collect();
            cells.sort_by_key(|(key, _)| (key.policy, key.name));
            cells
        }
        let (cells_a, cells_b) = (cells(a), cells(b));
        let mut sorting = Sorting::default();
        for (key, cell) in cells_a.iter().chain(&cells_b) {
            sorting.all.insert((key.policy, id(cell)));
        }
        let mut common = 0;
        for (key, cell) in sorted(&cells_a) {
            match cells_b.get(key) {
                Some(other) => {
                    common += 1;
                    sorting.pair(key, cell, other);
                }
                None => sorting.only(key, cell, "A"),
            }
        }
        for (key, cell) in sorted(&cells_b).iter().filter(|(key, _)| !cells_a.contains_key(key)) {
            sorting.only(key, cell, "B");
        }
        if common == 0 {
            return Err(NothingInCommon { a: named(a), b: named(b) });
        }
        let mut notes = notes(a, b, one_policy);
        if sorting.without_checks > 0 {
            notes.push(format!(
                "capability checks of {} cells were not compared: they were not seen on both sides",
                sorting.without_checks
            ));
        }
        Ok(Self {
            a: SideWords::of(a),
            b: SideWords::of(b),
            notes,
            common,
            same: sorting.same,
            groups: sorting.groups(),
            not_judged: sorting.apart(&sorting.not_judged),
            skipped: sorting.apart(&sorting.skipped),
            changed_cases: sorting.apart(&sorting.changed),
            only: sorting.apart(&sorting.only),
        })
    }

    /// How many cells differ.
    #[must_use]
    pub fn different(&self) -> usize {
        self.groups.iter().map(|group| group.cells.count).sum()
    }
}

pub(super) fn named(side: &Side<'_>) -> String {
    format!("{} (Linux {})", side.from, side.kernel.version)
}

pub(super) fn id(cell: &CellResult) -> CellId<'_> {
    (cell.case.as_str(), &cell.at)
}

fn notes(a: &Side<'_>, b: &Side<'_>, one_policy: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let (policies_a, policies_b) = (a.policies(), b.policies());
    let pair = (policies_a.iter().next(), policies_b.iter().next());
    if let (true, (Some((name_a, _)), Some((name_b, _)))) = (one_policy, pair)
        && name_a != name_b
    {
        notes.push(format!("A ran under policy {name_a}, B under policy {name_b}"));
    }
    for (name, sha) in &policies_a {
        if policies_b.get(name).is_some_and(|other| other != sha) {
            notes.push(format!("the policy {name} is not the same on both sides"));
        }
    }
    for (side, letter) in [(a, "A"), (b, "B")] {
        if !side.whole {
            notes.push(format!("the run of {letter} did not end: cells without a result are missing"));
        }
        for reason in side.refused() {
            notes.push(format!("nothing could be tested in a lane of {letter}: {reason}"));
        }
    }
    notes
}

impl SideWords {
    fn of(side: &Side<'_>) -> Self {
        Self {
            from: side.from.clone(),
            release: side.kernel.release.clone(),
            kernel: side.kernel_words(),
            policies: side.policies().into_keys().map(str::to_owned).collect(),
            version: side.kernel.version.to_string(),
        }
    }
}

/// Cells by their policy, where that matters, and their place.
pub(super) type Named<'a> = BTreeSet<(&'a str, CellId<'a>)>;

/// Pairs of cells, as they are told apart.
#[derive(Default)]
struct Sorting<'a> {
    all: Named<'a>,
    same: usize,
    without_checks: usize,
    groups: BTreeMap<Alike, Growing<'a>>,
    not_judged: BTreeMap<String, Named<'a>>,
    skipped: BTreeMap<String, Named<'a>>,
    changed: BTreeMap<String, Named<'a>>,
    only: BTreeMap<String, Named<'a>>,
}

impl<'a> Sorting<'a> {
    fn only(&mut self, key: &Key<'a>, cell: &'a CellResult, side: &str) {
        self.only.entry(format!("only on {side}")).or_default().insert((key.policy, id(cell)));
    }

    fn pair(&mut self, key: &Key<'a>, a: &'a CellResult, b: &'a CellResult) {
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
            self.changed.entry(format!("the case was changed, and {what}")).or_default().insert(name);
            return;
        }
        let unseen = |cell: &CellResult| {
            cell.observation.as_ref().is_some_and(|seen| seen.caps_unseen.is_some())
        };
        let checks = !unseen(a) && !unseen(b);
        self.without_checks += usize::from(!checks);
        let lines = |cell: &CellResult| {
            let lines = cell.judgement.observed.iter();
            lines.filter(|line| checks || !line.starts_with("  cap ")).cloned().collect::<Vec<_>>()
        };
        let found = difference(&lines(a), &lines(b));
        let verdicts = (a.judgement.verdict, b.judgement.verdict);
        let fault = |cell: &CellResult| {
            let judgement = &cell.judgement;
            judgement.reason.clone().filter(|_| judgement.verdict == Verdict::Fail)
        };
        let reasons = (fault(a), fault(b));
        let died = a.judgement.observed.is_empty() != b.judgement.observed.is_empty();
        let (kind, found) = match found {
            None if verdicts.0 == verdicts.1 && reasons.0 == reasons.1 => {
                self.same += 1;
                return;
            }
            None if reasons.0 != reasons.1 => (Kind::Fault, Difference::default()),
            None => (Kind::Verdict, Difference::default()),
            Some(_) if died => (Kind::Fault, Difference::default()),
            Some(found) => (Kind::of(&found.changes), found),
        };
        let because = because(a, b);
        let alike = Alike {
            expected: expected(verdicts, &because),
            kind,
            because,
            verdicts,
            changes: found.changes,
            reasons: if kind == Kind::Fault { reasons } else { (None, None) },
        };
        let shorter = |known: &Growing<'_>| found.diff.len() < known.diff.len();
        match self.groups.get_mut(&alike) {
            Some(group) => {
                if shorter(group) {
                    (group.example, group.diff) = (&a.name, found.diff);
                }
                group.cells.insert(name);
                // What is said of where something stands must be true of every cell.
                for (question, places) in &mut group.places {
                    let others = found.places.get(question);
                    places.retain(|place| others.is_some_and(|others| others.contains(place)));
                }
            }
            None => {
                let group = Growing {
                    cells: BTreeSet::from([name]),
                    places: found.places,
                    example: &a.name,
                    diff: found.diff,
                };
                self.groups.insert(alike, group);
            }
        }
    }

    fn groups(&self) -> Vec<Group> {
        let group = |(alike, group): (&Alike, &Growing<'_>)| {
            let guess = match alike.kind {
                Kind::Fault => fault_words(&alike.reasons),
                Kind::Verdict => {
                    vec!["both kernels do the same, and it is expected of one of them".to_owned()]
                }
                _ => guess(&alike.changes, &group.places),
            };
            Group {
                kind: alike.kind,
                verdict_a: alike.verdicts.0,
                verdict_b: alike.verdicts.1,
                guess,
                because: alike.because.clone(),
                changes: alike.changes.clone(),
                cells: self.cells(&group.cells),
                example: group.example.to_owned(),
                diff: group.diff.clone(),
            }
        };
        self.groups.iter().map(group).collect()
    }

    fn apart(&self, groups: &BTreeMap<String, Named<'a>>) -> Vec<Apart> {
        let apart = |(why, cells): (&String, &Named<'a>)| Apart {
            why: why.clone(),
            cells: self.cells(cells),
        };
        groups.iter().map(apart).collect()
    }

    fn cells(&self, cells: &Named<'a>) -> Cells {
        Cells::of(cells, &self.all)
    }
}

impl Cells {
    /// Some of all the cells that were compared; each with its policy where it matters.
    pub(super) fn of<'a>(cells: &Named<'a>, all: &Named<'a>) -> Self {
        let policies: BTreeSet<&str> = cells.iter().map(|(policy, _)| *policy).collect();
        let several = all.iter().map(|(policy, _)| *policy).collect::<BTreeSet<_>>().len() > 1;
        let mut words = Vec::new();
        for policy in policies {
            let of = |cells: &Named<'a>| {
                let cells = cells.iter().filter(|(other, _)| *other == policy);
                cells.map(|(_, id)| *id).collect::<BTreeSet<_>>()
            };
            let globs = globs(&of(cells), &of(all));
            words.extend(globs.into_iter().map(|(glob, count)| {
                let under = if several && !policy.is_empty() { format!(" (policy {policy})") } else { String::new() };
                (format!("{glob}{under}"), count)
            }));
        }
        let names = cells.iter().map(|(_, (case, at))| format!("{case}/{at}")).collect();
        Cells { count: cells.len(), globs: words, names }
    }
}

fn fault_words(reasons: &(Option<String>, Option<String>)) -> Vec<String> {
    let word = |side: &str, reason: &Option<String>| match reason {
        Some(reason) => format!("on {side}: {reason}"),
        None => format!("on {side}: nothing of the kind"),
    };
    vec![word("A", &reasons.0), word("B", &reasons.1)]
}

/// Why a pair cannot be compared, if it cannot.
fn not_judged(a: &CellResult, b: &CellResult) -> Option<String> {
    let one = |cell: &CellResult, side: &str| {
        let judgement = &cell.judgement;
        let bad = matches!(judgement.verdict, Verdict::Error | Verdict::Miss);
        let reason = judgement.reason.as_deref().unwrap_or("no reason");
        bad.then(|| format!("{} on {side}: {reason}", judgement.verdict))
    };
    let words: Vec<_> = [one(a, "A"), one(b, "B")].into_iter().flatten().collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Why a pair was not run on one side, if so.
fn skipped(a: &CellResult, b: &CellResult) -> Option<String> {
    let reason = |cell: &CellResult| {
        let reason = cell.judgement.reason.as_deref().unwrap_or("no reason");
        (cell.judgement.verdict == Verdict::Skip).then(|| reason.to_owned())
    };
    match (reason(a), reason(b)) {
        (Some(reason), None) => Some(format!("on A only: {reason}")),
        (None, Some(reason)) => Some(format!("on B only: {reason}")),
        (Some(one), Some(_)) => Some(format!("on both: {one}")),
        (None, None) => None,
    }
}

/// The reasons that hold on one side only.
fn because(a: &CellResult, b: &CellResult) -> Vec<Because> {
    let only = |one: &CellResult, other: &CellResult, on_b: bool| {
        let reasons = one.because.iter().filter(|reason| !other.because.contains(reason));
        reasons.map(|reason| Because { reason: reason.clone(), on_b }).collect::<Vec<_>>()
    };
    let mut all = only(b, a, true);
    all.extend(only(a, b, false));
    all.sort();
    all
}
