//! The changes that the author of a series states beforehand.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::Patch;
use crate::case::{CaseErrors, Mistakes, line_number};
use crate::foreign;
use crate::known::written_transcript;
use crate::plan::CellNames;
use crate::transcript::Transcript;

/// The name of a file with stated changes that a patch may add to the tree.
pub const IN_TREE: &str = "perfsec-expect.toml";

/// The stated changes. If several match a cell, the first one counts.
#[derive(Clone, Debug, Default)]
pub struct Expectations(Vec<StatedChange>);

/// A stated change.
#[derive(Clone, Debug)]
pub struct StatedChange {
    /// The number of the patch that makes it; `None` for any patch.
    pub patch: Option<usize>,
    /// Globs on the names of the cells that change.
    pub cells: Vec<String>,
    /// The author's reason.
    pub reason: String,
    /// The transcript of these cells after it; `None` for any.
    pub sees: Option<Transcript>,
    /// The file that states it, and the line.
    pub place: (PathBuf, usize),
    names: Vec<CellNames>,
}

/// An error in stated changes.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// The file cannot be read.
    #[error("read the stated changes in {path}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file has mistakes.
    #[error(transparent)]
    Mistakes(#[from] CaseErrors),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    change: Vec<Spanned<Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    patch: Option<Spanned<PatchName>>,
    cells: Spanned<Vec<Spanned<String>>>,
    reason: Spanned<String>,
    sees: Option<Spanned<String>>,
}

/// The name of a patch.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a patch is its number in the series, or its subject in quotes")]
enum PatchName {
    Number(i64),
    Subject(String),
}

impl Expectations {
    /// Reads a file of stated changes for a series of these patches. `suite` has the names of all
    /// cells.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or all mistakes in it.
    pub fn file(path: &Path, patches: &[Patch], suite: &[String]) -> Result<Self, ExpectError> {
        let text = foreign::read_text(path, &foreign::CHANGES)
            .map_err(|source| ExpectError::Read { path: path.to_owned(), source })?;
        Ok(Self::read(path, &text, patches, suite)?)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    ///
    /// Returns all mistakes, or the first one if the text is not TOML.
    pub fn read(
        path: &Path,
        text: &str,
        patches: &[Patch],
        suite: &[String],
    ) -> Result<Self, CaseErrors> {
        let mut mistakes = Mistakes::new(path, text);
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                mistakes.toml(&error);
                return Err(CaseErrors(mistakes.all));
            }
        };
        let mut all = Vec::new();
        for table in file.change {
            let line = line_number(text, table.span().start);
            let table = table.into_inner();
            if table.reason.get_ref().trim().is_empty() {
                let help = "say what makes the change, as the commit message does";
                mistakes.add(table.reason.span(), "a change without a reason", Some(help));
            }
            if table.cells.get_ref().is_empty() {
                mistakes.add(
                    table.cells.span(),
                    "a change of no cell",
                    Some("`*` names all of them"),
                );
            }
            let sees = table.sees.as_ref().map(|sees| written_transcript(sees.get_ref()));
            if let (Some(sees), true) =
                (&table.sees, sees.as_ref().is_some_and(Transcript::is_empty))
            {
                let help = "write the whole transcript, as `perfsec show` does, or leave it out";
                mistakes.add(sees.span(), "an empty transcript", Some(help));
            }
            let patch =
                table.patch.as_ref().and_then(|named| number(named, patches, &mut mistakes));
            let (mut cells, mut names) = (Vec::new(), Vec::new());
            for cell in table.cells.into_inner() {
                match CellNames::parse(std::slice::from_ref(cell.get_ref())) {
                    Ok(parsed) => {
                        if !suite.iter().any(|name| parsed.contains(name)) {
                            let help = "`perfsec run --list` lists all cells";
                            mistakes.add(cell.span(), "there is no such cell", Some(help));
                        }
                        names.push(parsed);
                    }
                    Err(mistake) => mistakes.add(cell.span(), mistake.to_string(), None),
                }
                cells.push(cell.into_inner());
            }
            let reason = table.reason.into_inner();
            all.push(StatedChange {
                patch,
                cells,
                reason,
                sees,
                place: (path.to_owned(), line),
                names,
            });
        }
        if mistakes.all.is_empty() { Ok(Self(all)) } else { Err(CaseErrors(mistakes.all)) }
    }

    /// The stated changes, in the order of the file.
    #[must_use]
    pub fn changes(&self) -> &[StatedChange] {
        &self.0
    }

    /// Adds the stated changes of another file.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The index of the stated change that covers this transcript of a cell after this patch.
    #[must_use]
    pub fn of_patch(&self, number: usize, cell: &str, observed: &Transcript) -> Option<usize> {
        self.0.iter().position(|change| {
            change.patch.is_none_or(|patch| patch == number)
                && change.concerns(cell)
                && change.sees.as_ref().is_none_or(|sees| sees.matches(observed))
        })
    }

    /// The index of the stated change that covers this cell of the whole series. Transcripts do not
    /// count: a later patch may have changed them again.
    #[must_use]
    pub fn of_series(&self, cell: &str) -> Option<usize> {
        self.0.iter().position(|change| change.concerns(cell))
    }
}

impl StatedChange {
    fn concerns(&self, cell: &str) -> bool {
        self.names.iter().any(|names| names.contains(cell))
    }

    /// The globs that match none of the cells that changed this way.
    #[must_use]
    pub fn unmet(&self, changed: &[&str]) -> Vec<String> {
        let pairs = std::iter::zip(&self.cells, &self.names);
        let unmet = pairs.filter(|(_, names)| !changed.iter().any(|cell| names.contains(cell)));
        unmet.map(|(glob, _)| glob.clone()).collect()
    }
}

/// The number of the named patch, if exactly one matches.
fn number(
    named: &Spanned<PatchName>,
    patches: &[Patch],
    mistakes: &mut Mistakes<'_>,
) -> Option<usize> {
    let all = patches.len();
    match named.get_ref() {
        PatchName::Number(number) => {
            let found = usize::try_from(*number).ok().filter(|number| (1..=all).contains(number));
            if found.is_none() {
                let message = format!("the series has no patch {number}");
                mistakes.add(named.span(), message, Some(&format!("its last one is {all}")));
            }
            found
        }
        PatchName::Subject(subject) => {
            let wanted = subject.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut found = patches.iter().filter(|patch| patch.subject == wanted);
            match (found.next(), found.next()) {
                (Some(patch), None) => Some(patch.number),
                (None, _) => {
                    let known: Vec<&str> =
                        patches.iter().map(|patch| patch.subject.as_str()).collect();
                    let close = crate::suggest::closest(&wanted, &known);
                    let message = format!("the series has no patch with this subject{close}");
                    let help = "write it without the brackets of the mail, or give its number";
                    mistakes.add(named.span(), message, Some(help));
                    None
                }
                (Some(_), Some(_)) => {
                    let message = "several patches have this subject";
                    mistakes.add(named.span(), message, Some("give its number"));
                    None
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FILE: &str = r#"
[[change]]
patch = "perf/core: open access for CAP_PERFMON"
cells = ["open/cpu/none_t/*", "open/task"]
reason = "CAP_PERFMON is asked for before CAP_SYS_ADMIN"
sees = '''
perf_event_open(...) = fd
  cap perfmon = granted
'''

[[change]]
cells = ["proc/*"]
reason = "anywhere"
"#;

    fn patches() -> Vec<Patch> {
        let subjects =
            ["capabilities: introduce CAP_PERFMON", "perf/core: open access for CAP_PERFMON"];
        let patch = |(at, subject): (usize, &&str)| Patch {
            number: at + 1,
            subject: (*subject).to_owned(),
            id: None,
            author: String::new(),
            mail: Vec::new(),
        };
        subjects.iter().enumerate().map(patch).collect()
    }

    fn read(text: &str) -> Result<Expectations, CaseErrors> {
        let suite = ["open/cpu/none_t/a", "open/cpu/all_t/a", "open/task/a", "proc/maps/a"];
        let suite = suite.map(str::to_owned);
        Expectations::read(Path::new("expect.toml"), text, &patches(), &suite)
    }

    const SEES: [&str; 2] =
        ["perf_event_open(software/dummy, pid=0) = fd", "  cap perfmon = granted"];

    #[rstest]
    #[case(2, "open/cpu/none_t/paranoid=2/perfmon/enforcing", &SEES, Some(0))]
    #[case(2, "open/task/all_t/paranoid=2/perfmon/enforcing", &SEES, Some(0))]
    #[case::another_patch(1, "open/cpu/none_t/paranoid=2/perfmon/enforcing", &SEES, None)]
    #[case::another_cell(2, "open/cpu/all_t/paranoid=2/perfmon/enforcing", &SEES, None)]
    #[case::sees_less(2, "open/cpu/none_t/paranoid=2/perfmon/enforcing", &SEES[..1], None)]
    #[case::anywhere(1, "proc/maps/all_t/paranoid=2/none/enforcing", &[], Some(1))]
    fn a_change_is_stated_only_if_patch_cell_and_transcript_match(
        #[case] patch: usize,
        #[case] cell: &str,
        #[case] observed: &[&str],
        #[case] expected: Option<usize>,
    ) {
        let observed = observed.iter().collect();
        assert_eq!(read(FILE).unwrap().of_patch(patch, cell, &observed), expected);
    }

    #[test]
    fn a_change_of_the_whole_series_may_be_that_of_any_patch() {
        let stated = read(FILE).unwrap();
        assert_eq!(stated.of_series("open/cpu/none_t/paranoid=2/perfmon/enforcing"), Some(0));
        assert_eq!(stated.of_series("open/cpu/all_t/paranoid=2/perfmon/enforcing"), None);
    }

    #[test]
    fn a_glob_that_matches_no_changed_cell_is_unmet() {
        let stated = read(FILE).unwrap();
        let change = &stated.changes()[0];
        assert_eq!(change.unmet(&["open/cpu/none_t/paranoid=2/none/enforcing"]), ["open/task"]);
        assert_eq!(change.unmet(&["proc/maps"]), ["open/cpu/none_t/*", "open/task"]);
        let both = ["open/cpu/none_t/a", "open/task/b"];
        assert_eq!(change.unmet(&both), [""; 0]);
    }

    #[rstest]
    #[case("\"perf/core: open access for CAP_PERFMON\"", "2", Some(2))]
    #[case(
        "\"perf/core: open access for CAP_PERFMON\"",
        "\"perf/core:  open access\\n for CAP_PERFMON\"",
        Some(2)
    )]
    #[case("patch = \"perf/core: open access for CAP_PERFMON\"", "", None)]
    fn a_patch_is_named_by_subject_or_number(
        #[case] from: &str,
        #[case] to: &str,
        #[case] expected: Option<usize>,
    ) {
        assert_eq!(read(&FILE.replacen(from, to, 1)).unwrap().changes()[0].patch, expected);
    }

    #[rstest]
    #[case(
        "open access for",
        "open acces for",
        "did you mean `perf/core: open access for CAP_PERFMON`"
    )]
    #[case("\"perf/core: open access for CAP_PERFMON\"", "3", "the series has no patch 3")]
    #[case("\"perf/core: open access for CAP_PERFMON\"", "0", "the series has no patch 0")]
    #[case("\"perf/core: open access for CAP_PERFMON\"", "-1", "the series has no patch -1")]
    #[case(
        "\"perf/core: open access for CAP_PERFMON\"",
        "1.5",
        "a patch is its number in the series, or its subject"
    )]
    #[case("\"open/task\"", "\"[\"", "is not a glob")]
    #[case("\"open/task\"", "\"nothing/like/that/*\"", "there is no such cell")]
    #[case("\"open/cpu/none_t/*\", \"open/task\"", "", "a change of no cell")]
    #[case("\"CAP_PERFMON is asked for before CAP_SYS_ADMIN\"", "\" \"", "without a reason")]
    #[case("perf_event_open(...) = fd\n  cap perfmon = granted\n", "\n", "an empty transcript")]
    #[case("sees =", "see =", "see")]
    #[case("[[change]]", "[[changes]]", "changes")]
    fn a_mistake_is_reported_with_its_line(
        #[case] from: &str,
        #[case] to: &str,
        #[case] words: &str,
    ) {
        let error = read(&FILE.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("expect.toml:"), "{error}");
    }
}
