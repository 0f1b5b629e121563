//! A first guess at the cause of a difference, in the field's words.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, How, Place};
use super::question::{Question, Returned};

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
        let only_results = self.changes.iter().all(|it| matches!(it, Change::Result { .. }));
        let mut said = BTreeSet::new();
        for change in self.changes.clone() {
            match change {
                Change::Result { from, to, .. } => {
                    let same = if only_results { ", with the same checks and records" } else { "" };
                    self.out.push(format!("{}{same}", result(from, to)));
                }
                Change::Refuser { from, to, .. } => {
                    let gone = self.asked(How::Gone).any(|question| question == from);
                    self.out.push(match gone {
                        true => format!("{to} now refuses before {from} is asked"),
                        false => format!("{to} now refuses, not {from}"),
                    });
                    said.extend([from.clone(), to.clone()]);
                }
                _ => {}
            }
        }
        self.exchanged(&mut said);
        for change in self.changes.clone() {
            if let Some(words) = self.words(change, &said) {
                self.out.push(words);
            }
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

    fn words(&self, change: &Change, said: &BTreeSet<Question>) -> Option<String> {
        Some(match change {
            Change::Result { .. } | Change::Refuser { .. } => return None,
            Change::Asked { question, .. } if said.contains(question) => return None,
            Change::Asked { question, how, .. } => self.asked_words(question, *how),
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

    fn asked_words(&self, question: &Question, how: How) -> String {
        let verb = verb(question);
        let none = BTreeSet::new();
        let places = self.places.get(question).unwrap_or(&none);
        let place = |wanted: fn(&Place) -> Option<&Question>| places.iter().find_map(wanted);
        let before = place(|place| match place {
            Place::Before(question) => Some(question),
            _ => None,
        });
        let granted = place(|place| match place {
            Place::Granted(question) => Some(question),
            _ => None,
        });
        let silent = matches!(question, Question::Cap { silent: true, .. });
        match (how, question) {
            (How::New, Question::Told(_)) => format!("new: {question}"),
            (How::Gone, Question::Told(_)) => format!("gone: {question}"),
            (How::New, Question::Cap { name, .. }) if silent => {
                format!("a new silent (unaudited) check of CAP_{}", name.to_uppercase())
            }
            (How::New, _) => match before.filter(|other| *other != question) {
                Some(other) => format!("{question} is now {verb} before {other}"),
                None => format!("{question} is now {verb}"),
            },
            (How::Gone, _) => match granted.filter(|other| *other != question) {
                Some(other) if question.is_cap() => {
                    format!("{question} is no longer {verb} when {other} is granted")
                }
                _ => format!("{question} is no longer {verb}"),
            },
            (How::More, _) => format!("{question} is {verb} more often"),
            (How::Less, _) => format!("{question} is {verb} less often"),
            (How::Moved, _) => format!("{question} is {verb} as often, by other calls"),
        }
    }
}

/// Capabilities are checked; hooks are asked.
fn verb(question: &Question) -> &'static str {
    if question.is_cap() { "checked" } else { "asked" }
}

fn result(from: &Returned, to: &Returned) -> String {
    let how = |result: &Returned| if result.is_denial() { "refused" } else { "failing" };
    match (from, to) {
        (Returned::Error(old), Returned::Success(_)) => match from.is_denial() {
            true => format!("{old} became success"),
            false => format!("it failed with {old} and now succeeds"),
        },
        (Returned::Success(_), Returned::Error(new)) => format!("it is now {} with {new}", how(to)),
        _ => format!("{from} became {to}"),
    }
}
