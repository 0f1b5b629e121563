//! The score of a campaign: the share of mutants that cells noticed.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::Entry;
use super::outcome::MutantOutcome;
use super::survivors::{Excuse, Survivor, Survivors};

/// The standing of a mutant, once people have judged the survivors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged<'a> {
    /// A cell failed.
    Killed,
    /// The kernel died.
    Died,
    /// Nothing noticed it, and nobody said why: the suite has a hole.
    Hole,
    /// The kernel behaves as before; the reason.
    Equivalent(&'a str),
    /// No guest gets there; the reason.
    Unreachable(&'a str),
    /// The image is that of the unchanged source.
    Identical,
    /// It does not compile.
    Broken,
}

/// Numbers of mutants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// A cell failed.
    pub killed: usize,
    /// The kernel died.
    pub died: usize,
    /// Nothing noticed them.
    pub holes: usize,
    /// The kernel behaves as before.
    pub equivalent: usize,
    /// No guest gets there.
    pub unreachable: usize,
    /// The image is that of the unchanged source.
    pub identical: usize,
    /// They do not compile.
    pub broken: usize,
}

/// The outcomes of the mutants of one tree, judged.
#[derive(Debug)]
pub struct Score<'a> {
    /// The tree.
    pub kernel: &'a str,
    /// Each mutant once, in the order of files and lines.
    pub mutants: Vec<(&'a Entry, Judged<'a>)>,
    /// Listed survivors that a cell noticed, with the mutant's name.
    pub noticed: Vec<(&'a Survivor, &'a str)>,
    /// Listed survivors of functions in the record that are no mutant of it.
    pub unknown: Vec<&'a Survivor>,
}

impl Tally {
    fn add(&mut self, judged: Judged<'_>) {
        *match judged {
            Judged::Killed => &mut self.killed,
            Judged::Died => &mut self.died,
            Judged::Hole => &mut self.holes,
            Judged::Equivalent(_) => &mut self.equivalent,
            Judged::Unreachable(_) => &mut self.unreachable,
            Judged::Identical => &mut self.identical,
            Judged::Broken => &mut self.broken,
        } += 1;
    }

    /// The number of mutants.
    #[must_use]
    pub fn all(&self) -> usize {
        self.counted() + self.equivalent + self.identical + self.broken
    }

    /// The number of mutants that were noticed.
    #[must_use]
    pub fn noticed(&self) -> usize {
        self.killed + self.died
    }

    /// The number of mutants that make a difference.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.noticed() + self.holes + self.unreachable
    }

    /// The noticed share of the mutants that make a difference, in percent. Returns `None` if no
    /// mutant does.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        percent(self.noticed(), self.counted())
    }

    /// The noticed share of the mutants that a guest can reach, in percent.
    #[must_use]
    pub fn reachable_score(&self) -> Option<f64> {
        percent(self.noticed(), self.counted() - self.unreachable)
    }
}

fn percent(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

impl<'a> Score<'a> {
    /// The scores of the trees in a record, in the order in which they appear.
    #[must_use]
    pub fn of(entries: &'a [Entry], survivors: &'a Survivors) -> Vec<Self> {
        let mut trees: Vec<(&str, BTreeMap<&str, &Entry>)> = Vec::new();
        for entry in entries {
            let tree = entry.tree.as_str();
            let at = trees.iter().position(|(known, _)| *known == tree).unwrap_or_else(|| {
                trees.push((tree, BTreeMap::new()));
                trees.len() - 1
            });
            // The last one counts.
            trees[at].1.insert(&entry.key, entry);
        }
        let scores = trees.into_iter().map(|(_, entries)| {
            let mut entries: Vec<&Entry> = entries.into_values().collect();
            entries.sort_by_key(|it| (&it.file, it.line, &it.name));
            Self::of_tree(&entries, survivors)
        });
        scores.collect()
    }

    fn of_tree(entries: &[&'a Entry], survivors: &'a Survivors) -> Self {
        let kernel = entries.first().map_or("", |entry| entry.kernel.as_str());
        let (mut mutants, mut noticed) = (Vec::new(), Vec::new());
        let mut met = BTreeSet::new();
        for entry in entries {
            let listed = survivors.find(entry);
            met.extend(listed.map(|survivor| survivor.line));
            let judged = match (&entry.outcome, listed) {
                (MutantOutcome::Killed { .. }, _) => Judged::Killed,
                (MutantOutcome::Died { .. }, _) => Judged::Died,
                (MutantOutcome::Identical, _) => Judged::Identical,
                (MutantOutcome::DoesNotCompile { .. }, _) => Judged::Broken,
                (MutantOutcome::Survived { .. }, None) => Judged::Hole,
                (MutantOutcome::Survived { .. }, Some(survivor)) => survivor.judged(),
            };
            if let (Judged::Killed | Judged::Died, Some(survivor)) = (judged, listed) {
                noticed.push((survivor, entry.name.as_str()));
            }
            mutants.push((*entry, judged));
        }
        let functions: BTreeSet<&str> = entries.iter().map(|it| it.function.as_str()).collect();
        let unknown = survivors.all.iter().filter(|survivor| {
            let change = &survivor.change;
            let everywhere = change.since.is_none() && change.until.is_none();
            everywhere && functions.contains(&*change.function) && !met.contains(&survivor.line)
        });
        Self { kernel, mutants, noticed, unknown: unknown.collect() }
    }

    /// The tally of all mutants.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.mutants.iter().for_each(|(_, judged)| total.add(*judged));
        total
    }

    /// The tallies by a property of mutants, in the order in which its values first appear.
    #[must_use]
    pub fn by(&self, property: impl Fn(&'a Entry) -> String) -> Vec<(String, Tally)> {
        let mut rows: Vec<(String, Tally)> = Vec::new();
        for (entry, judged) in &self.mutants {
            let value = property(entry);
            let at = rows.iter().position(|(known, _)| *known == value).unwrap_or_else(|| {
                rows.push((value, Tally::default()));
                rows.len() - 1
            });
            rows[at].1.add(*judged);
        }
        rows
    }

    /// The mutants that nothing noticed.
    pub fn holes(&self) -> impl Iterator<Item = &'a Entry> {
        self.mutants.iter().filter(|(_, judged)| *judged == Judged::Hole).map(|(entry, _)| *entry)
    }
}

impl Survivor {
    fn judged(&self) -> Judged<'_> {
        let reason = self.change.reason.as_str();
        match self.change.is {
            Excuse::Equivalent => Judged::Equivalent(reason),
            Excuse::Unreachable => Judged::Unreachable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fixture::{broken, died, entry, killed, survived};
    use super::*;

    /// Excuses the mutant of each function.
    fn excused(functions: &[(&str, &str)]) -> Survivors {
        let text = functions.iter().map(|(function, is)| {
            format!(
                "[[survivor]]\nfunction = \"{function}\"\ncode = \"if (err)\"\nis = \"{is}\"\n\
                 reason = \"r\"\n"
            )
        });
        Survivors::parse(Path::new("survivors.toml"), &text.collect::<String>()).unwrap()
    }

    #[test]
    fn the_score_leaves_out_mutants_that_make_no_difference() {
        let entries = [
            entry("a", killed()),
            entry("b", died()),
            entry("c", survived()),
            entry("d", survived()),
            entry("e", survived()),
            entry("f", MutantOutcome::Identical),
            entry("g", broken()),
        ];
        let survivors = excused(&[("d", "equivalent"), ("e", "unreachable")]);
        let scores = Score::of(&entries, &survivors);
        let total = scores[0].total();
        let one = Tally {
            killed: 1,
            died: 1,
            holes: 1,
            equivalent: 1,
            unreachable: 1,
            identical: 1,
            broken: 1,
        };
        assert_eq!((total, total.all(), total.counted()), (one, 7, 4));
        assert_eq!(total.score(), Some(50.0));
        assert_eq!(total.reachable_score(), Some(200.0 / 3.0));
        let holes: Vec<_> = scores[0].holes().map(|entry| entry.function.as_str()).collect();
        assert_eq!(holes, ["c"]);
    }

    #[test]
    fn the_last_outcome_of_a_mutant_counts_and_trees_are_apart() {
        let other = Entry { tree: "beef".to_owned(), ..entry("a", killed()) };
        let entries = [entry("a", survived()), other, entry("a", MutantOutcome::Identical)];
        let survivors = Survivors::default();
        let scores = Score::of(&entries, &survivors);
        let totals: Vec<_> = scores.iter().map(Score::total).collect();
        assert_eq!((totals.len(), totals[0].identical, totals[1].killed), (2, 1, 1));
    }

    #[test]
    fn an_excuse_that_a_cell_disproves_or_that_fits_no_mutant_is_out_of_date() {
        let entries = [entry("a", killed())];
        let mut survivors = excused(&[("a", "equivalent"), ("b", "equivalent")]);
        let scores = Score::of(&entries, &survivors);
        assert_eq!(scores[0].noticed[0].1, "a/drop-check/1");
        // Nothing is known about functions that the record lacks.
        assert!(scores[0].unknown.is_empty());
        survivors.all[0].change.after = Some("return 0;".to_owned());
        let scores = Score::of(&entries, &survivors);
        assert_eq!((scores[0].noticed.len(), scores[0].unknown.len()), (0, 1));
    }
}
