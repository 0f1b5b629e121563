//! Describes a difference as a first guess at its cause.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use super::change::{Change, ChangeKind};
use super::difference::Position;
use super::question::QuestionId;

/// Positions, the same in every cell of a group, of questions that only one side asks.
pub(super) type Positions = BTreeMap<QuestionId, BTreeSet<Position>>;

/// Describes the changes: one sentence per syscall, without a full stop.
pub(super) fn guess(changes: &BTreeSet<Change>, places: &Positions) -> Vec<String> {
    let mut calls: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        calls.entry(change.call()).or_default().push(change);
    }
    let mut sentences = Vec::new();
    for (call, changes) in calls {
        let mut words = Clauses { changes, places, out: Vec::new() };
        words.all();
        sentences.push(format!("{call}: {}", words.out.join("; ")));
    }
    sentences
}

/// The clauses of the sentence about one syscall.
struct Clauses<'a> {
    changes: Vec<&'a Change>,
    places: &'a Positions,
    out: Vec<String>,
}

impl Clauses<'_> {
    fn all(&mut self) {
        let mut described = BTreeSet::new();
        for change in self.changes.clone() {
            match change {
                Change::Result { from, to, alone, .. } => {
                    let demand = self.changes.iter().any(|it| matches!(it, Change::Demand { .. }));
                    let same = *alone && !demand;
                    let same = if same { ", with the same checks and records" } else { "" };
                    self.out.push(format!("{from} became {to}{same}"));
                }
                Change::Refuser { from, to, .. } => {
                    self.out.push(format!("{to} now refuses before {from} is {}", verb(from)));
                    described.extend([from.clone(), to.clone()]);
                }
                Change::Demand { question, now, .. } => {
                    let now = if *now { "now" } else { "no longer" };
                    self.out.push(match question.is_cap() {
                        true => format!("without {question} it is {now} refused"),
                        false => format!("the denial of {question} {now} refuses"),
                    });
                }
                _ => {}
            }
        }
        self.exchanged(&mut described);
        let mut together: Vec<(Vec<String>, String)> = Vec::new();
        for change in self.changes.clone() {
            let (subject, words) = match change {
                Change::Asked { question, .. } if described.contains(question) => continue,
                Change::Asked { question, how, .. } => self.asked_words(question, *how),
                change => match words(change) {
                    Some(words) => (String::new(), words),
                    None => continue,
                },
            };
            match together.iter_mut().find(|(_, known)| *known == words && !subject.is_empty()) {
                Some((subjects, _)) => subjects.push(subject),
                None => together.push((vec![subject], words)),
            }
        }
        for (subjects, words) in together {
            let be = if subjects.len() > 1 { "are" } else { "is" };
            let subjects = subjects.join(" and ");
            self.out.push(format!("{subjects}{}", words.replacen("BE", be, 1)));
        }
    }

    fn asked(&self, wanted: ChangeKind) -> impl Iterator<Item = &QuestionId> {
        self.changes.iter().filter_map(move |change| match change {
            Change::Asked { question, how, .. } if *how == wanted => Some(question),
            _ => None,
        })
    }

    /// Describes a question that replaces another.
    fn exchanged(&mut self, described: &mut BTreeSet<QuestionId>) {
        let caps = |how| self.asked(how).filter(|it| it.is_cap() && !described.contains(*it));
        let (new, gone): (Vec<_>, Vec<_>) =
            (caps(ChangeKind::New).collect(), caps(ChangeKind::Gone).collect());
        let mut words = Vec::new();
        let mut pairs = Vec::new();
        if let ([new], [gone]) = (new.as_slice(), gone.as_slice()) {
            words.push(match (new, gone) {
                (QuestionId::Cap { name, silent }, QuestionId::Cap { name: old, .. })
                    if name == old =>
                {
                    let how = if *silent { "silent (unaudited)" } else { "audited" };
                    format!("the check of CAP_{} is now {how}", name.to_uppercase())
                }
                _ => format!("{new} is now checked instead of {gone}"),
            });
            pairs.extend([(*new).clone(), (*gone).clone()]);
        }
        for new in self.asked(ChangeKind::New) {
            let QuestionId::Line(line) = new else { continue };
            let old = self.asked(ChangeKind::Gone).find(|old| match old {
                QuestionId::Line(old) => discriminant(old) == discriminant(line),
                _ => false,
            });
            if let Some(old) = old {
                words.push(format!("{old} became {new}"));
                pairs.extend([new.clone(), old.clone()]);
            }
        }
        self.out.extend(words);
        described.extend(pairs);
    }

    /// Subject and predicate; `BE` is a placeholder for `is` or `are`.
    fn asked_words(&self, question: &QuestionId, how: ChangeKind) -> (String, String) {
        let verb = verb(question);
        let subject = question.to_string();
        let place = self.place(question, how);
        match (how, question) {
            (ChangeKind::New, QuestionId::Line(line)) if line.is_record() => {
                (String::new(), format!("a {line} is now written"))
            }
            (ChangeKind::Gone, QuestionId::Line(line)) if line.is_record() => {
                (String::new(), format!("no {line} is written any more"))
            }
            (ChangeKind::New, QuestionId::Line(_)) => (String::new(), format!("new: {question}")),
            (ChangeKind::Gone, QuestionId::Line(_)) => (String::new(), format!("gone: {question}")),
            (_, QuestionId::Line(_)) => (String::new(), format!("another number of {question}")),
            (ChangeKind::New, QuestionId::Cap { name, silent: true }) => {
                let name = name.to_uppercase();
                (String::new(), format!("a new silent (unaudited) check of CAP_{name}"))
            }
            (ChangeKind::New, _) => (subject, format!(" BE now {verb}{place}")),
            (ChangeKind::Gone, _) => (subject, format!(" BE no longer {verb}{place}")),
            (ChangeKind::More, _) => (subject, format!(" BE {verb} more often")),
            (ChangeKind::Less, _) => (subject, format!(" BE {verb} less often")),
            (ChangeKind::Moved, _) => (subject, format!(" BE {verb} as often, by other calls")),
        }
    }

    /// The position of a question, if it is the same in every cell.
    fn place(&self, question: &QuestionId, how: ChangeKind) -> String {
        let none = BTreeSet::new();
        let places = self.places.get(question).unwrap_or(&none);
        let words = |place: &Position| match place {
            Position::Before(other) if other == question => None,
            Position::Before(other) => Some((2, format!(" before {other}"))),
            Position::BeforeHook(class) => Some((3, format!(" before a permission of {class}"))),
            Position::BeforeError(error) => Some((4, format!(" before {error} is found"))),
            Position::Granted(other) | Position::Denied(other) if other == question => None,
            // In permissive mode hooks follow one another regardless of the answers.
            Position::Granted(_) | Position::Denied(_) if !question.is_cap() => None,
            Position::Granted(other) => Some((1, format!(" when {other} is granted"))),
            Position::Denied(other) => Some((1, format!(" when {other} is denied"))),
        };
        let best = places.iter().filter_map(words).min_by_key(|(rank, _)| match how {
            // A new question is best located by the question that it now precedes.
            ChangeKind::New if *rank == 2 => 0,
            _ => *rank,
        });
        best.map(|(_, words)| words).unwrap_or_default()
    }
}

fn words(change: &Change) -> Option<String> {
    Some(match change {
        Change::Result { .. }
        | Change::Refuser { .. }
        | Change::Demand { .. }
        | Change::Asked { .. } => return None,
        Change::Order { first, second, .. } => {
            format!("{first} is now {} before {second}", verb(first))
        }
        Change::Answer { question, from, to, .. } => {
            format!("{question} ended in `{from}` and now ends in `{to}`")
        }
        Change::Record { record, how, .. } => match how {
            ChangeKind::New | ChangeKind::More => format!("a record of {record} is now written"),
            ChangeKind::Gone | ChangeKind::Less => {
                format!("no record of {record} is written any more")
            }
            ChangeKind::Moved => format!("the record of {record} comes with another check"),
        },
        Change::Field { record, field, .. } => {
            format!("the record of {record} has another `{field}`")
        }
        Change::Reached { now: true, .. } => "it is now performed".to_owned(),
        Change::Reached { now: false, .. } => "it is no longer performed".to_owned(),
    })
}

/// Capabilities are checked; hooks are asked.
fn verb(question: &QuestionId) -> &'static str {
    if question.is_cap() { "checked" } else { "asked" }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::difference::difference;
    use super::*;
    use crate::transcript::Transcript;

    const OPEN_DENIED: &str = "avc denied { open } tclass=perf_event";
    const KERNEL_DENIED: &str = "avc denied { kernel } tclass=perf_event";
    const PERFMON_RECORD: &str = "avc denied { perfmon } capability=38 tclass=capability2";

    /// A transcript; a word that is not an effect is the result of another `open`.
    fn lines(words: &[&str]) -> Transcript {
        let effect = |word: &str| word.contains(' ') || word.starts_with("holds");
        words
            .iter()
            .map(|word| match effect(word) {
                true => format!("  {word}"),
                false => format!("open(x) = {word}"),
            })
            .collect()
    }

    fn guessed(a: &[&str], b: &[&str]) -> String {
        let found = difference(&lines(a), &lines(b)).unwrap();
        let sentences = guess(&found.changes, &found.places);
        sentences.join("\n").replace("open: ", "")
    }

    #[rstest]
    // Results.
    #[case(&["EACCES"], &["EPERM"], "EACCES became EPERM, with the same checks and records")]
    #[case(&["fd"], &["EINVAL"], "success became EINVAL, with the same checks and records")]
    #[case(
        &["fd", "cap perfmon = not held", "cap sys_admin = not held"],
        &["EACCES", "cap perfmon = not held", "cap sys_admin = not held"],
        "success became EACCES; without CAP_PERFMON it is now refused"
    )]
    #[case(
        &["EACCES", OPEN_DENIED], &["fd", OPEN_DENIED],
        "EACCES became success; the denial of perf_event { open } no longer refuses"
    )]
    // Order.
    #[case(
        &["EACCES", "cap sys_admin = not held", "cap perfmon = not held"],
        &["EACCES", "cap perfmon = not held", "cap sys_admin = not held"],
        "CAP_PERFMON is now checked before CAP_SYS_ADMIN"
    )]
    #[case(
        &["fd", "cap perfmon = granted", OPEN_DENIED],
        &["fd", OPEN_DENIED, "cap perfmon = granted"],
        "perf_event { open } is now asked before CAP_PERFMON"
    )]
    #[case(
        &["EPERM", "cap perfmon = not held", "cap sys_admin = not held"], &["EACCES", OPEN_DENIED],
        "EPERM became EACCES; perf_event { open } now refuses before CAP_PERFMON is checked"
    )]
    // Checks.
    #[case(
        &["fd", "cap perfmon = granted", "cap sys_admin = granted"],
        &["fd", "cap perfmon = granted"],
        "CAP_SYS_ADMIN is no longer checked when CAP_PERFMON is granted"
    )]
    #[case(
        &["fd", "cap sys_admin = granted"],
        &["fd", "cap perfmon = not held", "cap sys_admin = granted"],
        "CAP_PERFMON is now checked instead of CAP_SYS_ADMIN"
    )]
    #[case(
        &["fd", "cap sys_admin = granted"],
        &["fd", "cap perfmon = granted", "cap sys_admin = granted"],
        "CAP_PERFMON is now checked before CAP_SYS_ADMIN"
    )]
    #[case(
        &["fd", "cap ipc_lock = granted"], &["fd", "cap ipc_lock unaudited = granted"],
        "the check of CAP_IPC_LOCK is now silent (unaudited)"
    )]
    #[case(
        &["fd"],
        &["fd", "cap ipc_lock unaudited = granted"],
        "a new silent (unaudited) check of CAP_IPC_LOCK"
    )]
    #[case(
        &["EACCES", "cap sys_ptrace = not held"],
        &["fd", "cap sys_ptrace = not held", "cap perfmon = granted"],
        "EACCES became success; CAP_PERFMON is now checked when CAP_SYS_PTRACE is denied"
    )]
    #[case(
        &["EINVAL"],
        &["EINVAL", "cap perfmon = granted"],
        "CAP_PERFMON is now checked before EINVAL is found"
    )]
    #[case(
        &["fd", "cap bpf = granted", "cap bpf = granted"], &["fd", "cap bpf = granted"],
        "CAP_BPF is checked less often"
    )]
    #[case(
        &["fd", "cap perfmon = granted"],
        &["fd", "cap perfmon = not held", "cap sys_admin = granted"],
        "CAP_PERFMON ended in `granted` and now ends in `not held`"
    )]
    #[case(
        &["EACCES", "cap perfmon = not held", "cap sys_admin = not held"],
        &["EACCES", "cap perfmon = not held"],
        "CAP_SYS_ADMIN is no longer checked when CAP_PERFMON is denied"
    )]
    // Questions that a refusal prevents are not a difference of their own.
    #[case(
        &["fd", "cap perfmon = granted"], &["EACCES", KERNEL_DENIED],
        "success became EACCES; perf_event { kernel } is now asked"
    )]
    #[case(
        &["EINVAL"], &["fd", "cap perfmon = granted"],
        "EINVAL became success"
    )]
    // Records.
    #[case(&["fd"], &["fd", "record SYSCALL"], "a record SYSCALL is now written")]
    #[case(
        &["fd", "cap perfmon = granted", PERFMON_RECORD], &["fd", "cap perfmon = granted"],
        "no record of capability2 { perfmon } is written any more"
    )]
    #[case(
        &["fd", "cap perfmon = granted", PERFMON_RECORD, "fd", "cap perfmon = granted"],
        &["fd", "cap perfmon = granted", "fd", "cap perfmon = granted", PERFMON_RECORD],
        "the record of capability2 { perfmon } comes with another check"
    )]
    #[case(
        &["fd", "cap perfmon = granted", PERFMON_RECORD],
        &["fd", "cap perfmon = granted", PERFMON_RECORD, "cap perfmon = granted"],
        "CAP_PERFMON is checked more often"
    )]
    #[case(
        &["fd", "avc denied { open } tclass=perf_event"],
        &["fd", "avc denied { open } tcontext=u:r:kernel_t:s0 tclass=perf_event"],
        "the record of perf_event { open } has another `tcontext`"
    )]
    #[case(&["0", "holds none"], &["0", "holds all"], "`holds none` became `holds all`")]
    fn a_difference_is_described_in_the_words_of_the_field(
        #[case] a: &[&str],
        #[case] b: &[&str],
        #[case] words: &str,
    ) {
        assert_eq!(guessed(a, b), words);
    }

    #[test]
    fn a_step_that_is_only_reached_on_one_side_follows_from_a_result() {
        let lines = |text: &str| text.lines().collect::<Transcript>();
        let (a, b) = (lines("open(x) = EACCES"), lines("open(x) = fd\nread(fd, 8) = 8"));
        let found = difference(&a, &b).unwrap();
        assert_eq!(found.changes.len(), 1, "{:?}", found.changes);
        let (a, b) = (lines("open(x) = fd"), lines("open(x) = fd\nread(fd, 8) = 8"));
        let found = difference(&a, &b).unwrap();
        assert_eq!(guess(&found.changes, &found.places), ["read: it is now performed"]);
    }

    #[test]
    fn a_position_is_given_only_if_it_is_the_same_in_every_cell() {
        let found = difference(
            &lines(&["fd", "cap sys_admin = granted"]),
            &lines(&["fd", "cap perfmon = granted", "cap sys_admin = granted"]),
        )
        .unwrap();
        assert_eq!(
            guess(&found.changes, &found.places),
            ["open: CAP_PERFMON is now checked before CAP_SYS_ADMIN"]
        );
        assert_eq!(guess(&found.changes, &Positions::new()), ["open: CAP_PERFMON is now checked"]);
    }
}
