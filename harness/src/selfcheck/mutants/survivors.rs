//! Survivors that people judged, `cases/survivors.toml`: mutants that no cell can notice.

use std::io;
use std::path::{Path, PathBuf};

use perfsec_mutate::Operator;
use serde::Deserialize;
use toml::Spanned;

use super::journal::Entry;
use crate::case::line_number;
use crate::foreign;
use crate::kernel::FixedIn;

/// Survivors that people judged.
#[derive(Clone, Debug, Default)]
pub struct Survivors {
    /// The survivors, in the order of the file.
    pub all: Vec<Survivor>,
}

/// Mutants of the same code, and why no cell can notice them.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// Line in the file.
    pub line: usize,
    /// The changes.
    pub change: Change,
}

/// Changes of a function, and the reason why they survive.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The function.
    pub function: String,
    /// A part of the text that is replaced; white space does not matter.
    pub code: String,
    /// The operators; without any, all.
    #[serde(default)]
    pub operators: Vec<Operator>,
    /// The text instead, if only one change survives; white space does not matter.
    pub after: Option<String>,
    /// The place among the changes of the function with the same operator and texts, from 1, if
    /// only one of them survives.
    pub nth: Option<usize>,
    /// The kind of reason.
    pub is: Excuse,
    /// The reason.
    pub reason: String,
    /// The first release of each series for which this holds.
    pub since: Option<FixedIn>,
    /// The first release of each series for which this no longer holds.
    pub until: Option<FixedIn>,
}

/// Why no cell can notice a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excuse {
    /// The kernel behaves as before.
    Equivalent,
    /// No guest gets there: it lacks hardware, memory or a module.
    Unreachable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SurvivorsFile {
    #[serde(default, rename = "survivor")]
    survivors: Vec<Spanned<Change>>,
}

/// An error in the list of survivors.
#[derive(Debug, thiserror::Error)]
pub enum SurvivorsError {
    /// It cannot be read.
    #[error("read the survivors in {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is not TOML of this form.
    #[error("read the survivors in {}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The mistake.
        source: Box<toml::de::Error>,
    },
    /// A survivor lacks a text.
    #[error("read the survivors in {}: line {line}: `{function}` has no {key}", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The function.
        function: String,
        /// The key of the text.
        key: &'static str,
    },
}

impl Survivors {
    /// The built-in list.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which a test of the project rules out.
    pub fn built_in() -> Result<Self, SurvivorsError> {
        Self::parse(Path::new("cases/survivors.toml"), perfsec_cases::survivors())
    }

    /// The list in a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or has a mistake.
    pub fn read(path: &Path) -> Result<Self, SurvivorsError> {
        let text = foreign::read_text(path, &foreign::SURVIVORS);
        let failed = |source| SurvivorsError::Read { path: path.to_owned(), source };
        Self::parse(path, &text.map_err(failed)?)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, SurvivorsError> {
        let failed = |source| SurvivorsError::Parse { path: path.to_owned(), source };
        let file: SurvivorsFile = toml::from_str(text).map_err(|error| failed(Box::new(error)))?;
        let survivors = file.survivors.into_iter().map(|change| {
            let line = line_number(text, change.span().start);
            let change = change.into_inner();
            for (key, value) in [("code", &change.code), ("reason", &change.reason)] {
                if value.trim().is_empty() {
                    let (path, function) = (path.to_owned(), change.function);
                    return Err(SurvivorsError::Empty { path, line, function, key });
                }
            }
            Ok(Survivor { line, change })
        });
        Ok(Self { all: survivors.collect::<Result<_, _>>()? })
    }

    /// The reason why nothing can notice a mutant, if it is listed.
    #[must_use]
    pub fn find(&self, entry: &Entry) -> Option<&Survivor> {
        self.all.iter().find(|survivor| survivor.change.describes(entry))
    }
}

impl Change {
    /// True if this mutant is one of the changes, on this kernel.
    #[must_use]
    pub fn describes(&self, entry: &Entry) -> bool {
        let has = |change: &Option<FixedIn>| change.as_ref().map(|it| it.has(entry.version));
        self.function == entry.function
            && words(&entry.before).contains(&words(&self.code))
            && (self.operators.is_empty() || self.operators.contains(&entry.operator))
            && self.after.as_ref().is_none_or(|after| words(after) == words(&entry.after))
            && self.nth.is_none_or(|nth| nth == entry.nth)
            && has(&self.since).unwrap_or(true)
            && !has(&self.until).unwrap_or(false)
    }
}

/// The text with one blank between words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::fixture::{entry, survived};
    use super::*;
    use crate::causes::with_causes;

    const SURVIVOR: &str = "[[survivor]]\nfunction = \"f\"\ncode = \"(err)\\n\\treturn\"\n\
        is = \"equivalent\"\nreason = \"f() checks again\"\n";

    fn parse(text: &str) -> Result<Survivors, SurvivorsError> {
        Survivors::parse(Path::new("survivors.toml"), text)
    }

    #[test]
    fn a_survivor_is_found_by_its_code_whatever_the_white_space() {
        let survivors = parse(SURVIVOR).unwrap();
        let survivor = survivors.find(&entry("f", survived())).unwrap();
        assert_eq!((survivor.line, survivor.change.is), (1, Excuse::Equivalent));
        assert!(survivors.find(&entry("g", survived())).is_none());
        let other = Entry { before: "if (error) return 0;".to_owned(), ..entry("f", survived()) };
        assert!(survivors.find(&other).is_none());
    }

    #[rstest]
    #[case("operators = [\"negate\", \"drop-check\"]", true)]
    #[case("operators = [\"negate\"]", false)]
    #[case("after = \"\"", true)]
    #[case("after = \"return 0;\"", false)]
    #[case("nth = 1", true)]
    #[case("nth = 2", false)]
    fn a_survivor_may_be_limited_to_changes(#[case] limit: &str, #[case] holds: bool) {
        let survivors = parse(&format!("{SURVIVOR}{limit}\n")).unwrap();
        assert_eq!(survivors.find(&entry("f", survived())).is_some(), holds);
    }

    #[rstest]
    #[case("since = \"6.1\"", true)]
    #[case("since = \"6.2\"", false)]
    #[case("until = \"6.1.192\"", false)]
    #[case("until = \"6.1.193, 6.2\"", true)]
    fn a_survivor_may_be_limited_to_releases(#[case] limit: &str, #[case] holds: bool) {
        let survivors = parse(&format!("{SURVIVOR}{limit}\n")).unwrap();
        assert_eq!(survivors.find(&entry("f", survived())).is_some(), holds);
    }

    #[rstest]
    #[case(&SURVIVOR.replace("f() checks again", " "), "line 1: `f` has no reason")]
    #[case(&SURVIVOR.replace("(err)\\n\\treturn", ""), "line 1: `f` has no code")]
    #[case(&SURVIVOR.replace("equivalent", "harmless"), "unknown variant `harmless`")]
    #[case(&format!("{SURVIVOR}operators = [\"drop\"]\n"), "drop")]
    #[case(&SURVIVOR.replace("code", "text"), "unknown field `text`")]
    fn a_mistake_is_named(#[case] text: &str, #[case] named: &str) {
        let error = with_causes(&parse(text).unwrap_err());
        assert!(error.contains("survivors.toml") && error.contains(named), "{error}");
    }

    #[test]
    fn the_built_in_list_is_valid() {
        Survivors::built_in().unwrap();
    }
}
