//! The record of a campaign: one line of JSON for each outcome.
//!
//! Concatenated records are a record, so shards are joined with `cat`. The last line about a mutant
//! of a tree counts.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use perfsec_mutate::Operator;
use serde::{Deserialize, Serialize};

use super::outcome::MutantOutcome;
use crate::foreign;
use crate::kernel::KernelVersion;

/// Version of the lines' layout.
const FORMAT: u32 = 2;

/// The outcome of a mutant of a tree under a suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the layout.
    pub format: u32,
    /// The ID of the unchanged git tree.
    pub tree: String,
    /// The tree as the user named it, and its version.
    pub kernel: String,
    /// The version of the kernel.
    pub version: KernelVersion,
    /// A hash of everything that decides how a run ends, besides the kernel.
    pub suite: String,
    /// A hash of the mutant's name and text.
    pub key: String,
    /// The mutant's name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The function, or the default that is changed.
    pub function: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// The operator.
    pub operator: Operator,
    /// The text that is replaced, in one line.
    pub before: String,
    /// The text instead, in one line.
    pub after: String,
    /// Its place among the mutants of the function with the same operator and texts, from 1.
    pub nth: usize,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: MutantOutcome,
    /// The change as a patch, if no cell noticed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// The time that its guests took, in milliseconds.
    pub millis: u64,
}

/// The record of a campaign.
#[derive(Debug, Default)]
pub struct Journal {
    /// Its outcomes, in the order in which they were found.
    pub entries: Vec<Entry>,
    file: Option<(PathBuf, File)>,
}

/// An error in the record of a campaign.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("read the record of mutants {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line is not an outcome.
    #[error("read the record of mutants {}: line {line} is not an outcome", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The mistake.
        source: serde_json::Error,
    },
    /// It was written by another perfsec.
    #[error(
        "read the record of mutants {}: line {line} has format {format} (expected {FORMAT})",
        .path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The format.
        format: u32,
    },
    /// It cannot be written.
    #[error("write the record of mutants {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A new record would replace another.
    #[error(
        "write the record of mutants {}: it exists; --resume continues it", .0.display()
    )]
    Exists(PathBuf),
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Entry {
    /// The layout that this perfsec writes.
    pub const FORMAT: u32 = FORMAT;
}

impl Journal {
    /// A new record in a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists or cannot be created.
    pub fn create(path: &Path) -> Result<Self, JournalError> {
        match File::create_new(path) {
            Ok(file) => Ok(Self { entries: Vec::new(), file: Some((path.to_owned(), file)) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(JournalError::Exists(path.to_owned()))
            }
            Err(source) => Err(JournalError::Write { path: path.to_owned(), source }),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read or is not a record. A last line that was not written
    /// completely is left out.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { entries: read(path)?.0, file: None })
    }

    /// Reads a record, to which more outcomes are added.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read or written, or is not a record.
    pub fn resume(path: &Path) -> Result<Self, JournalError> {
        let (entries, length) = read(path)?;
        let file = OpenOptions::new().append(true).open(path);
        // What a killed perfsec did not write completely must not spoil the next line.
        let file = file.and_then(|file| file.set_len(length).map(|()| file));
        let file = file.map_err(|source| JournalError::Write { path: path.to_owned(), source })?;
        Ok(Self { entries, file: Some((path.to_owned(), file)) })
    }

    /// Adds an outcome, which survives if perfsec is killed right after.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub fn add(&mut self, entry: Entry) -> Result<(), JournalError> {
        if let Some((path, file)) = &mut self.file {
            let line = serde_json::to_string(&entry).map_err(io::Error::from);
            let written = line.and_then(|line| file.write_all(format!("{line}\n").as_bytes()));
            written.map_err(|source| JournalError::Write { path: path.clone(), source })?;
        }
        self.entries.push(entry);
        Ok(())
    }

    /// The last outcome of a mutant of a tree under a suite.
    #[must_use]
    pub fn find(&self, tree: &str, suite: &str, key: &str) -> Option<&Entry> {
        let same =
            |entry: &&Entry| (&*entry.tree, &*entry.suite, &*entry.key) == (tree, suite, key);
        self.entries.iter().rev().find(same)
    }
}

/// The entries of a file, and the length of their lines in bytes.
fn read(path: &Path) -> Result<(Vec<Entry>, u64), JournalError> {
    let text = foreign::read_text(path, &foreign::MUTANT_RECORD)
        .map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text[..whole].lines()) {
        let path = || path.to_owned();
        let wrong = |source| JournalError::Line { path: path(), line: number, source };
        let Versioned { format } = serde_json::from_str(line).map_err(wrong)?;
        if format != FORMAT {
            return Err(JournalError::Format { path: path(), line: number, format });
        }
        entries.push(serde_json::from_str(line).map_err(wrong)?);
    }
    Ok((entries, whole as u64))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::super::fixture::{broken, died, entry, killed, survived};
    use super::*;

    /// A record of these outcomes, of one function each.
    fn record(outcomes: &[(&str, MutantOutcome)]) -> (TempDir, PathBuf) {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("mutants.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        for (function, outcome) in outcomes {
            journal.add(entry(function, outcome.clone())).unwrap();
        }
        (directory, path)
    }

    #[test]
    fn every_outcome_is_read_as_it_was_written() {
        let outcomes = [
            ("a", killed()),
            ("b", survived()),
            ("c", died()),
            ("d", broken()),
            ("e", MutantOutcome::Identical),
        ];
        let (_directory, path) = record(&outcomes);
        let expected: Vec<_> = outcomes.map(|(name, outcome)| entry(name, outcome)).into();
        assert_eq!(Journal::read(&path).unwrap().entries, expected);
    }

    #[test]
    fn an_outcome_counts_for_its_tree_and_its_suite_only() {
        let (_directory, path) = record(&[("a", killed())]);
        let journal = Journal::read(&path).unwrap();
        assert!(journal.find("f00d", "suite", "key of a").is_some());
        for (tree, suite, key) in
            [("beef", "suite", "key of a"), ("f00d", "other", "key of a"), ("f00d", "suite", "b")]
        {
            assert!(journal.find(tree, suite, key).is_none());
        }
    }

    #[test]
    fn concatenated_records_are_a_record_and_the_last_outcome_counts() {
        let (_directory, path) = record(&[("a", survived()), ("b", killed())]);
        let (_other, more) = record(&[("a", MutantOutcome::Identical)]);
        let text = [&path, &more].map(|path| fs::read_to_string(path).unwrap()).concat();
        fs::write(&path, text).unwrap();
        let journal = Journal::read(&path).unwrap();
        assert_eq!(journal.entries.len(), 3);
        let last = journal.find("f00d", "suite", "key of a").unwrap();
        assert_eq!(last.outcome, MutantOutcome::Identical);
    }

    #[test]
    fn a_record_that_was_cut_goes_on_after_its_last_whole_line() {
        let (_directory, path) = record(&[("a", killed()), ("b", killed())]);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut journal = Journal::resume(&path).unwrap();
        assert_eq!(journal.entries.len(), 1);
        journal.add(entry("c", died())).unwrap();
        let names = Journal::read(&path).unwrap().entries.into_iter().map(|it| it.function);
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_new_record_replaces_no_other() {
        let (_directory, path) = record(&[("a", killed())]);
        let error = Journal::create(&path).unwrap_err();
        assert!(error.to_string().contains("--resume continues it"), "{error}");
    }

    #[rstest]
    #[case::no_json("perf\n", "line 1 is not an outcome")]
    #[case::other_json("{\"format\":2}\n", "line 1 is not an outcome")]
    #[case::newer("{\"format\":3}\n", "line 1 has format 3 (expected 2)")]
    fn another_file_is_refused(#[case] text: &str, #[case] named: &str) {
        let (_directory, path) = record(&[]);
        fs::write(&path, text).unwrap();
        let error = Journal::resume(&path).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
