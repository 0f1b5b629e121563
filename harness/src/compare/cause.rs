//! A first guess at the cause of a difference, in the field's words.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, How, Place};
use super::question::Question;

/// Where things stand that only one side has, in every cell of a group.
pub(super) type Places = BTreeMap<Question, BTreeSet<Place>>;

/// Sentences about the changes, those of one syscall together, without a final stop.
pub(super) fn guess(changes: &BTreeSet<Change>, places: &Places) -> Vec<String> {
    let mut calls: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        calls.entry(change.call()).or_default().push(change);
    }
    let mut sentences = Vec::new();
    for (call, changes) in calls {
        let mut words = Words { changes, places, out: Vec::new() };
        words.all();
        sentences.push(format!("{call}: {}", words.out.join("; ")));
    }
    sentences
}

impl Change {
    /// The syscall that it is about.
    #[must_use]
    pub fn call(&self) -> &str {
        match self {
            Self::Result { call, .. }
            | Self::Refuser { call, .. }
            | Self::Demand { call, .. }
            | Self::Asked { call, .. }
            | Self::Order { call, .. }
            | Self::Answer { call, .. }
            | Self::Record { call, .. }
            | Self::Field { call, .. }
            | Self::Reached { call, .. } => call,
        }
    }
}

/// The words for the changes of one syscall.
struct Words<'a> {
    changes: Vec<&'a Change>,
    places: &'a Places,
    out: Vec<String>,
}

impl Words<'_> {
    fn all(&mut self) {
        let mut said = BTreeSet::new();
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
                    said.extend([from.clone(), to.clone()]);
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
        self.exchanged(&mut said);
        let mut together: Vec<(Vec<String>, String)> = Vec::new();
        for change in self.changes.clone() {
            let (subject, words) = match change {
                Change::Asked { question, .. } if said.contains(question) => continue,
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

    fn asked(&self, wanted: How) -> impl Iterator<Item = &Question> {
        self.changes.iter().filter_map(move |change| match change {
            Change::Asked { question, how, .. } if *how == wanted => Some(question),
            _ => None,
        })
    }

    /// One thing in the place of another.
    fn exchanged(&mut self, said: &mut BTreeSet<Question>) {
        let caps = |how| self.asked(how).filter(|it| it.is_cap() && !said.contains(*it));
        let (new, gone): (Vec<_>, Vec<_>) = (caps(How::New).collect(), caps(How::Gone).collect());
        let mut words = Vec::new();
        let mut pairs = Vec::new();
        if let ([new], [gone]) = (new.as_slice(), gone.as_slice()) {
            words.push(match (new, gone) {
                (Question::Cap { name, silent }, Question::Cap { name: old, .. }) if name == old => {
                    let how = if *silent { "silent (unaudited)" } else { "audited" };
                    format!("the check of CAP_{} is now {how}", name.to_uppercase())
                }
                _ => format!("{new} is now checked instead of {gone}"),
            });
            pairs.extend([(*new).clone(), (*gone).clone()]);
        }
        for new in self.asked(How::New) {
            let Question::Told(line) = new else { continue };
            let begin = line.split(' ').next();
            let old = self.asked(How::Gone).find(|old| match old {
                Question::Told(old) => old.split(' ').next() == begin,
                _ => false,
            });
            if let Some(old) = old {
                words.push(format!("{old} became {new}"));
                pairs.extend([new.clone(), old.clone()]);
            }
        }
        self.out.extend(words);
        said.extend(pairs);
    }

    /// Subject and predicate; `BE` stands for the verb of one or of several.
    fn asked_words(&self, question: &Question, how: How) -> (String, String) {
        let verb = verb(question);
        let subject = question.to_string();
        let place = self.place(question, how);
        match (how, question) {
            (How::New, Question::Told(_)) => (String::new(), format!("new: {question}")),
            (How::Gone, Question::Told(_)) => (String::new(), format!("gone: {question}")),
            (_, Question::Told(_)) => (String::new(), format!("another number of {question}")),
            (How::New, Question::Cap { name, silent: true }) => {
                let name = name.to_uppercase();
                (String::new(), format!("a new silent (unaudited) check of CAP_{name}"))
            }
            (How::New, _) => (subject, format!(" BE now {verb}{place}")),
            (How::Gone, _) => (subject, format!(" BE no longer {verb}{place}")),
            (How::More, _) => (subject, format!(" BE {verb} more often")),
            (How::Less, _) => (subject, format!(" BE {verb} less often")),
            (How::Moved, _) => (subject, format!(" BE {verb} as often, by other calls")),
        }
    }

    /// Where it stands, if that is the same in every cell.
    fn place(&self, question: &Question, how: How) -> String {
        let none = BTreeSet::new();
        let places = self.places.get(question).unwrap_or(&none);
        let words = |place: &Place| match place {
            Place::Before(other) if other == question => None,
            Place::Before(other) => Some((2, format!(" before {other}"))),
            Place::BeforeHook(class) => Some((3, format!(" before a permission of {class}"))),
            Place::BeforeError(error) => Some((4, format!(" before {error} is found"))),
            Place::Granted(other) | Place::Denied(other) if other == question => None,
            // Hooks follow on one another whatever the answer in permissive mode.
            Place::Granted(_) | Place::Denied(_) if !question.is_cap() => None,
            Place::Granted(other) => Some((1, format!(" when {other} is granted"))),
            Place::Denied(other) => Some((1, format!(" when {other} is denied"))),
        };
        let best = places.iter().filter_map(words).min_by_key(|(rank, _)| match how {
            // What is new between two others is best told from what it now precedes.
            How::New if *rank == 2 => 0,
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
            How::New | How::More => format!("a record of {record} is now written"),
            How::Gone | How::Less => format!("no record of {record} is written any more"),
            How::Moved => format!("the record of {record} comes with another check"),
        },
        Change::Field { record, field, .. } => {
            format!("the record of {record} has another `{field}`")
        }
        Change::Reached { now: true, .. } => "it is now performed".to_owned(),
        Change::Reached { now: false, .. } => "it is no longer performed".to_owned(),
    })
}

/// Capabilities are checked; hooks are asked.
fn verb(question: &Question) -> &'static str {
    if question.is_cap() { "checked" } else { "asked" }
}
