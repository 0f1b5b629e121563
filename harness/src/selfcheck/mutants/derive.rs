//! Derives mutants from the source of a tree.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_mutate::{Config, Error, Mutant, SourceFile};
use similar::TextDiff;

use super::scope::{Area, Code, Scope};
use crate::kernel::hash;
use crate::plan::{CellNames, NotAGlob, Shard};
use crate::source::{Commit, Source, SourceError};

/// Lines around a change in a patch.
const CONTEXT: usize = 3;

/// A mutant, and what a campaign needs to know about it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The mutant.
    pub mutant: Mutant,
    /// Index of its area in the scope.
    pub area: usize,
    /// Its number in the switched kernel, from 1; `None` if it is built alone.
    pub number: Option<u32>,
    /// Its place among the mutants of the function with the same operator and texts, from 1.
    pub nth: usize,
    /// SHA-256 of its name and text, in hexadecimal: that of the same change in another commit.
    pub key: String,
}

/// The mutants of a tree.
#[derive(Debug, Default)]
pub struct Derived {
    /// The mutants, by area.
    pub candidates: Vec<Candidate>,
    /// The text of each file with a mutant.
    pub texts: BTreeMap<String, String>,
    /// Code of the scope that the tree lacks, or that cannot be parsed.
    pub lacking: Vec<Error>,
}

/// Selects mutants.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Each name with its glob.
    names: Vec<(String, CellNames)>,
    shard: Option<Shard>,
}

impl Derived {
    /// Derives the mutants of a commit. Code that `config` leaves out has none.
    ///
    /// # Errors
    ///
    /// Returns an error if the tree cannot be read.
    pub fn of(
        source: &Source,
        commit: &Commit,
        scope: &Scope,
        config: &Config,
    ) -> Result<Self, SourceError> {
        let mut derived = Self::default();
        for (index, area) in scope.areas.iter().enumerate() {
            for code in &area.code {
                match source.file(commit, &code.file)? {
                    Some(mut text) => {
                        // git's output comes without its last newline.
                        text.push('\n');
                        let file = SourceFile::new(&code.file, &text, config);
                        let mutants = derived.mutants(&file, code).into_iter();
                        let wanted = mutants.filter(|mutant| area.wants(mutant)).map(|mutant| {
                            let key = key(&mutant);
                            Candidate { mutant, area: index, number: None, nth: 1, key }
                        });
                        derived.candidates.extend(wanted);
                        derived.texts.insert(code.file.clone(), text);
                    }
                    None => derived.lacking.push(Error::Undefined {
                        file: code.file.clone(),
                        names: [&code.functions[..], &code.defaults].concat(),
                    }),
                }
            }
        }
        derived.finish();
        Ok(derived)
    }

    /// The mutants of the code that the file has.
    fn mutants(&mut self, file: &SourceFile<'_>, code: &Code) -> Vec<Mutant> {
        let functions = code.functions.iter().map(|name| file.mutants(&[name]));
        let defaults = code.defaults.iter().map(|name| file.defaults(&[name]));
        let mut found = Vec::new();
        for mutants in functions.chain(defaults) {
            match mutants {
                Ok(mutants) => found.extend(mutants),
                Err(error) => self.lacking.push(error),
            }
        }
        found
    }

    /// Numbers twins and the switched mutants, and forgets functions that another file has: decision points
    /// name those that they are inlined into.
    fn finish(&mut self) {
        let found: BTreeSet<&str> =
            self.candidates.iter().map(|it| it.mutant.function.as_str()).collect();
        self.lacking.retain(|error| match error {
            Error::Undefined { names, .. } => !names.iter().all(|name| found.contains(&**name)),
            _ => true,
        });
        let mut twins = BTreeMap::new();
        for Candidate { mutant, nth, .. } in &mut self.candidates {
            let Mutant { function, operator, before, after, .. } = &*mutant;
            let met: &mut usize = twins.entry((function, operator, before, after)).or_default();
            *met += 1;
            *nth = *met;
        }
        let switched = self.candidates.iter_mut().filter(|it| it.mutant.is_switched());
        switched.zip(1..).for_each(|(candidate, number)| candidate.number = Some(number));
    }

    /// The change of a mutant as a patch.
    #[must_use]
    pub fn patch(&self, mutant: &Mutant) -> String {
        let old = self.texts.get(&mutant.file).map_or("", String::as_str);
        let new = mutant.apply(old);
        let diff = TextDiff::from_lines(old, new.as_str());
        let (a, b) = (format!("a/{}", mutant.file), format!("b/{}", mutant.file));
        diff.unified_diff().context_radius(CONTEXT).header(&a, &b).to_string()
    }
}

impl Area {
    /// True if it wants this change tried.
    fn wants(&self, mutant: &Mutant) -> bool {
        let has = |word: &String| mutant.before.contains(word.as_str());
        (self.only.is_empty() || self.only.iter().any(has)) && !self.except.iter().any(has)
    }
}

impl Selection {
    /// Selects by globs on the names of mutants; a name without wildcards is the beginning of one.
    /// An empty list selects all.
    ///
    /// # Errors
    ///
    /// Returns an error if a name is not a glob.
    pub fn new(names: &[String], shard: Option<Shard>) -> Result<Self, NotAGlob> {
        let names = names.iter().map(|name| {
            let glob = CellNames::parse(std::slice::from_ref(name))?;
            Ok((name.clone(), glob))
        });
        Ok(Self { names: names.collect::<Result<_, _>>()?, shard })
    }

    /// True if a mutant is selected.
    #[must_use]
    pub fn contains(&self, candidate: &Candidate) -> bool {
        let name = candidate.mutant.name();
        let named = self.names.iter().any(|(_, glob)| glob.contains(&name));
        (self.names.is_empty() || named)
            && self.shard.is_none_or(|shard| shard.contains(&candidate.key))
    }

    /// The first of the names that selects none of these mutants.
    #[must_use]
    pub fn unmatched(&self, candidates: &[Candidate]) -> Option<&str> {
        let names: Vec<String> = candidates.iter().map(|it| it.mutant.name()).collect();
        let selects = |glob: &CellNames| names.iter().any(|name| glob.contains(name));
        let unmatched = self.names.iter().find(|(_, glob)| !selects(glob));
        unmatched.map(|(name, _)| name.as_str())
    }
}

fn key(mutant: &Mutant) -> String {
    let parts = [&mutant.file, &mutant.name(), &mutant.before, &mutant.after];
    hash::sha256(parts.map(|part| format!("{} {part}\n", part.len())).concat().as_bytes())
}
