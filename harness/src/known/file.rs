//! The shape of a file of known differences.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::KnownEntry;
use crate::case::{
    CaseError, Condition, KnownDifference, Library, MachineProperty, Mistakes, line_number,
};
use crate::kernel::{FixedIn, KernelVersion};
use crate::plan::{CellIndex, CellNames};
use crate::transcript::Transcript;

/// Known differences between kernels and the cases.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownFile {
    /// The differences.
    #[serde(default)]
    #[schemars(with = "Vec<KnownTable>")]
    known: Vec<Spanned<KnownTable>>,
}

/// A known difference. It affects the kernels on which all of its conditions hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KnownTable {
    /// One word, which identifies it in reports.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Globs on cell names, as for `perfsec run`.
    #[schemars(with = "Vec<String>")]
    cells: Spanned<Vec<Spanned<String>>>,
    /// Kernels with a change: the first release of each series that has it, mainline last.
    since: Option<FixedIn>,
    /// Kernels before a change, listed as for `since`.
    until: Option<FixedIn>,
    /// Only these series.
    #[serde(default)]
    series: Vec<KernelVersion>,
    /// The kernels of one distribution: `debian`.
    distribution: Option<String>,
    /// Kernels with this option set to `y`: `CONFIG_…`.
    config: Option<String>,
    /// Machines with this property.
    machine: Option<MachineProperty>,
    /// Name of the policy.
    policy: Option<String>,
    /// The transcript there; any if missing.
    instead: Option<String>,
    /// The commit, document or patch that makes the difference.
    #[schemars(with = "String")]
    reason: Spanned<String>,
    /// URL of the discussion.
    #[schemars(with = "Option<String>")]
    link: Option<Spanned<String>>,
}

/// Reads the text of a file of known differences. With a library, each glob must match one of its
/// cells.
///
/// # Errors
///
/// All mistakes in it, or the first if it makes the rest meaningless.
pub fn read(
    path: &Path,
    text: &str,
    library: Option<&Library>,
) -> Result<Vec<KnownEntry>, Vec<CaseError>> {
    let mut mistakes = Mistakes::new(path, text);
    let file: KnownFile = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            mistakes.toml(&error);
            return Err(mistakes.all);
        }
    };
    let suite = library.map(CellIndex::new);
    let mut all: Vec<KnownEntry> = Vec::new();
    let mut names = BTreeSet::new();
    for table in file.known {
        if mistakes.is_full() {
            break;
        }
        let line = line_number(text, table.span().start);
        let table = table.into_inner();
        check(&table, &mut mistakes);
        if !names.insert(table.name.get_ref().clone()) {
            let message = format!("a second `{}`", table.name.get_ref());
            mistakes.add(table.name.span(), message, None);
        }
        let Some(cells) = cells(&table.cells, suite.as_ref(), &mut mistakes) else { continue };
        let reason = table.reason.into_inner();
        all.push(KnownEntry {
            difference: KnownDifference {
                name: table.name.into_inner(),
                reason: reason.clone(),
                link: table.link.map(Spanned::into_inner),
            },
            place: (path.to_owned(), line),
            cells,
            kernels: Condition {
                since: table.since,
                until: table.until,
                series: table.series,
                distribution: table.distribution,
                config: table.config,
                machine: table.machine,
                reason,
            },
            policy: table.policy,
            instead: table.instead.map(|text| written_transcript(&text)),
        });
    }
    if mistakes.all.is_empty() { Ok(all) } else { Err(mistakes.all) }
}

/// Checks the name, reason and link of an entry.
fn check(table: &KnownTable, mistakes: &mut Mistakes<'_>) {
    let name = table.name.get_ref();
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let help = "such as `debian-restrict`";
        mistakes.add(table.name.span(), "a name is one word", Some(help));
    }
    if table.reason.get_ref().trim().is_empty() {
        let help = "name the commit, document or patch that makes it";
        mistakes.add(table.reason.span(), "a difference without a reason", Some(help));
    }
    if let Some(link) = &table.link
        && !(link.get_ref().starts_with("https://") || link.get_ref().starts_with("http://"))
    {
        let message = format!("`{}` is not a link", link.get_ref());
        mistakes.add(link.span(), message, Some("a link begins with https://"));
    }
}

/// The globs of an entry, or `None` if one is invalid.
fn cells(
    globs: &Spanned<Vec<Spanned<String>>>,
    suite: Option<&CellIndex>,
    mistakes: &mut Mistakes<'_>,
) -> Option<CellNames> {
    if globs.get_ref().is_empty() {
        mistakes.add(globs.span(), "a difference in no cell", Some("`*` matches all cells"));
    }
    let mut valid = true;
    for glob in globs.get_ref() {
        if mistakes.is_full() {
            break;
        }
        match CellNames::parse(std::slice::from_ref(glob.get_ref())) {
            Ok(names) => {
                if let Some(suite) = suite.filter(|suite| !suite.matches(&names)) {
                    let close = suite.suggest(glob.get_ref());
                    let message = format!("no cell matches `{}`{close}", glob.get_ref());
                    let help = "`perfsec run --list` lists all cells";
                    mistakes.add(glob.span(), message, Some(help));
                }
            }
            Err(error) => {
                mistakes.add(glob.span(), error.to_string(), None);
                valid = false;
            }
        }
    }
    let globs: Vec<_> = globs.get_ref().iter().map(|glob| glob.get_ref().clone()).collect();
    CellNames::parse(&globs).ok().filter(|_| valid)
}

/// Reads a transcript that a person wrote, without empty lines.
pub(crate) fn written_transcript(text: &str) -> Transcript {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::Circumstances;

    const FILE: &str = r#"
[[known]]
name = "refuses-with-eperm"
cells = ["open/cpu*/*/none/*"]
since = "6.9"
distribution = "example"
policy = "minimal"
reason = "a patch of that distribution"
link = "https://example.org/1"
instead = '''
perf_event_open(...) = EPERM
'''
"#;

    const CELL: &str = "open/cpu-kernel/all_t/paranoid=2/none/enforcing";

    #[rstest]
    #[case(CELL, "6.9", Some("example"), "minimal", true)]
    #[case("open/task/all_t/paranoid=2/none/enforcing", "6.9", Some("example"), "minimal", false)]
    #[case(CELL, "6.8", Some("example"), "minimal", false)]
    #[case(CELL, "6.9", Some("debian"), "minimal", false)]
    #[case(CELL, "6.9", None, "minimal", false)]
    #[case(CELL, "6.9", Some("example"), "other", false)]
    fn a_difference_affects_a_cell_only_if_all_its_conditions_hold(
        #[case] cell: &str,
        #[case] version: &str,
        #[case] distribution: Option<&str>,
        #[case] policy: &str,
        #[case] affected: bool,
    ) {
        let known = &read(Path::new("known.toml"), FILE, None).unwrap()[0];
        let kernel = Circumstances::hypothetical(version.parse().unwrap(), distribution);
        assert_eq!(known.affects(cell, &kernel, policy), affected);
        for (errno, explained) in [("EPERM", true), ("EACCES", false)] {
            let observed = [format!("perf_event_open(software/dummy) = {errno}")];
            assert_eq!(known.explains(&observed.iter().collect()), explained);
        }
    }

    #[rstest]
    #[case("name = \"refuses-with-eperm\"", "name = \"two words\"", "one word")]
    #[case("reason = \"a patch of that distribution\"", "reason = \" \"", "without a reason")]
    #[case("https://example.org/1", "javascript:1", "is not a link")]
    #[case("\"open/cpu*/*/none/*\"", "", "in no cell")]
    #[case("\"open/cpu*/*/none/*\"", "\"[\"", "is not a glob")]
    #[case("6.9", "six", "kernel version")]
    #[case("policy =", "polcy =", "polcy")]
    fn a_mistake_is_reported_with_its_line(
        #[case] from: &str,
        #[case] to: &str,
        #[case] words: &str,
    ) {
        let errors = read(Path::new("known.toml"), &FILE.replacen(from, to, 1), None).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.contains(words) && text.contains("known.toml:"), "{text}");
    }

    #[test]
    fn two_differences_cannot_have_one_name() {
        let errors = read(Path::new("known.toml"), &FILE.repeat(2), None).unwrap_err();
        assert!(errors[0].to_string().contains("a second"), "{}", errors[0]);
    }

    #[rstest]
    #[case::matching("open/cpu*/*/none/*", None)]
    #[case::prefix("open/cpu-k", None)]
    #[case::alternatives("{open,close}/*", None)]
    #[case::word("open/*/nnoe/*", Some("did you mean `open/*/none/*`?"))]
    #[case::first_word("opne/cpu-kernel*", Some("did you mean `open/cpu-kernel*`?"))]
    #[case::prefix_with_a_typo("open/cpu-kernal", Some("did you mean `open/cpu-kernel`?"))]
    #[case::nothing_close("no/such/cell", Some("no cell matches `no/such/cell`\n"))]
    #[case::case_without_such_a_cell("open/cpu-kernel/no_read_t", Some("no cell matches"))]
    fn a_glob_that_matches_no_cell_is_a_mistake(#[case] glob: &str, #[case] words: Option<&str>) {
        let text = FILE.replacen("open/cpu*/*/none/*", glob, 1);
        let library = Library::built_in().unwrap();
        let read = read(Path::new("known.toml"), &text, Some(&library));
        match words {
            None => assert!(read.is_ok(), "{}", read.unwrap_err()[0]),
            Some(words) => {
                let errors = read.unwrap_err();
                let report = errors[0].to_string();
                assert!(report.contains(words), "{report}");
                assert!(report.contains("known.toml:4:10"), "{report}");
            }
        }
        let unchecked = super::read(Path::new("known.toml"), &text, None);
        assert!(unchecked.is_ok());
    }
}
