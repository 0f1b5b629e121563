//! Writes and compiles programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use perfsec::case::{Circumstances, Library, Setting};
use perfsec::kernel::KernelVersion;
use perfsec::reproduce::{Reproducer, reproducer};
use rstest::rstest;
use tempfile::TempDir;

use crate::support::{Place, golden};

/// A program, or the reason why a cell has none.
pub(crate) struct Program {
    pub(crate) case: String,
    pub(crate) cell: String,
    pub(crate) text: Result<String, String>,
}

/// The program of every cell of the built-in suite, or the reason why it has none, for a kernel of Debian.
pub(crate) fn programs(version: KernelVersion) -> Vec<Program> {
    let library = Library::built_in().expect("the suite");
    let setting = Setting::from(Circumstances::hypothetical(version, Some("debian")));
    let mut programs = Vec::new();
    for case in &library.cases {
        for at in case.axes.coordinates() {
            let wanted = Reproducer { case, at: &at, kernel: "Linux 6.12" };
            let text = reproducer(&wanted, &setting).map_err(|obstacle| obstacle.to_string());
            let (case, cell) = (case.name.clone(), case.cell_name(&at));
            programs.push(Program { case, cell, text });
        }
    }
    programs
}

/// The programs for [`VERSION`].
pub(crate) static PROGRAMS: LazyLock<Vec<Program>> = LazyLock::new(|| programs(VERSION));

/// A recent kernel of a long-term series.
pub(crate) const VERSION: KernelVersion = KernelVersion::new(6, 12, 94);

/// The programs of the first and the last cell of each case whose expectation is the same on any
/// machine.
pub(crate) fn of_each_case(programs: &[Program]) -> Vec<(&str, &str)> {
    let mut by_case: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for program in programs {
        if let Ok(text) = &program.text
            && !text.contains(" * note: ")
        {
            by_case.entry(&program.case).or_default().push((&program.cell, text));
        }
    }
    let ends = by_case.values().flat_map(|cells| {
        let last = (cells.len() > 1).then(|| cells[cells.len() - 1]);
        std::iter::once(cells[0]).chain(last)
    });
    ends.collect()
}

/// The name of a cell's file.
pub(crate) fn file_name(cell: &str) -> String {
    cell.replace('/', ",")
}

/// Writes programs into a directory; returns their paths.
pub(crate) fn write(directory: &Path, programs: &[(&str, &str)]) -> Vec<PathBuf> {
    let write = |(cell, text): &(&str, &str)| {
        let path = directory.join(file_name(cell) + ".c");
        fs::write(&path, text).expect("a program is written");
        path
    };
    programs.iter().map(write).collect()
}

#[test]
fn the_program_of_every_case_compiles_without_a_warning() {
    let directory = TempDir::new().expect("a directory");
    for batch in of_each_case(&PROGRAMS).chunks(64) {
        let files = write(directory.path(), batch);
        let output = Command::new("cc")
            .args(["-Wall", "-Werror", "-fsyntax-only"])
            .args(files)
            .output()
            .expect("cc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn most_cells_have_a_program_and_the_others_a_reason() {
    let mut reasons: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
    for program in PROGRAMS.iter() {
        if let Err(reason) = &program.text {
            let (count, cases) = reasons.entry(reason).or_default();
            *count += 1;
            if !cases.contains(&&*program.case) {
                cases.push(&program.case);
            }
        }
    }
    let without: usize = reasons.values().map(|(count, _)| count).sum();
    assert!(without * 5 <= PROGRAMS.len(), "{without} of {} cells", PROGRAMS.len());
    let mut text = String::new();
    for (reason, (_, cases)) in &reasons {
        text.push_str(&format!("{reason}\n"));
        cases.iter().for_each(|case| text.push_str(&format!("    {case}\n")));
    }
    golden("reproduce-without.txt", &text);
}

#[test]
fn a_program_is_readable() {
    let cell = "open/cpu-kernel/none_t/paranoid=2/perfmon/permissive";
    let program = PROGRAMS.iter().find(|program| program.cell == cell).expect("the cell");
    golden("reproduce.c", program.text.as_ref().expect("a program"));
    for program in PROGRAMS.iter() {
        let Ok(text) = &program.text else { continue };
        assert!(text.is_ascii() && text.matches("*/").count() == text.matches("/*").count());
        assert!(!text.contains('@') && !text.contains("//"), "{}", program.cell);
    }
}

#[rstest]
#[case::several(&["open/cpu-kernel"], 2, "the filters select")]
#[case::none(&["opne/cpu-kernel"], 4, "did you mean")]
#[case::no_program(
    &["event/ioctl-compat/all_t/paranoid=2/none/enforcing"],
    4,
    "cannot write a reproducer of"
)]
#[case::kernel(&["open/cpu-kernel", "--kernel", "4.19"], 2, "CAP_PERFMON came with 5.8")]
#[case::output(
    &["open/cpu-kernel/none_t/paranoid=2/perfmon/permissive", "--out", "no/such/file.c"],
    5,
    "cannot write no/such/file.c"
)]
#[case::same_output(
    &["open/cpu-kernel/none_t/paranoid=2/perfmon/permissive", "--out", "a", "--policy-out", "a"],
    2,
    "two reports would go to a"
)]
fn bad_input_is_one_error(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &str) {
    let place = Place::new();
    let ended = place.perfsec(&[&["reproduce"], arguments].concat());
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
}

#[test]
fn a_directory_gets_a_program_for_each_cell_and_the_policy_is_written() {
    let place = Place::new();
    let arguments =
        ["reproduce", "open/cpu-kernel/none_t", "--directory", "d", "--policy-out", "p"];
    let ended = place.perfsec(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let files = fs::read_dir(place.path().join("d")).expect("the directory").count();
    assert!(ended.stderr.contains(&format!("{files} reproducers in d")), "{}", ended.stderr);
    let policy = fs::read_to_string(place.path().join("p")).expect("the policy");
    assert!(policy.contains("(type none_t)"), "{policy}");
}
