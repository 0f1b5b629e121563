//! A program that contains all mutants behaves, for each that is chosen, as the program with that
//! mutant alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use perfsec_mutate::{Config, Mutant, Operator, SourceFile, switched};
use xshell::{Shell, cmd};

const PROGRAM: &str = include_str!("program.c");
const FUNCTIONS: &[&str] = &["open_event", "may_access", "do_ioctl", "event_ioctl", "log_event"];

fn mutants() -> Vec<Mutant> {
    let config = Config::parse("CONFIG_AUDIT=y\n");
    SourceFile::new("program.c", PROGRAM, &config).mutants(FUNCTIONS).unwrap()
}

/// Builds a program and returns its path.
fn build(sh: &Shell, directory: &Path, name: &str, source: &str) -> std::path::PathBuf {
    let program = directory.join(name);
    let file = directory.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    // An alternative can leave a variable unread, or a label unused.
    cmd!(sh, "cc -std=gnu11 -O0 -w -ftrivial-auto-var-init=zero -o {program} {file}")
        .quiet()
        .run()
        .unwrap();
    program
}

/// The output of a program, and the way in which it ended.
fn run(sh: &Shell, program: &Path, mutant: u32) -> (Vec<u8>, String) {
    let mutant = mutant.to_string();
    let output = cmd!(sh, "{program} {mutant}").quiet().ignore_status().output().unwrap();
    (output.stdout, output.status.to_string())
}

#[test]
fn a_chosen_mutant_behaves_as_the_mutant_alone() {
    let sh = Shell::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mutants = mutants();
    let numbered: Vec<_> = (1..).zip(&mutants).filter(|(_, mutant)| mutant.is_switched()).collect();
    let all = build(&sh, directory.path(), "all", &switched(PROGRAM, &numbered).text);
    let original = build(&sh, directory.path(), "original", PROGRAM);
    let unmutated = run(&sh, &original, 0);
    assert_eq!(unmutated, run(&sh, &all, 0), "with no mutant chosen");
    // True if the mutant changes what the program prints.
    let compare = |(number, mutant): &(u32, &Mutant)| {
        let sh = Shell::new().unwrap();
        let name = format!("alone-{number}");
        let alone = build(&sh, directory.path(), &name, &mutant.apply(PROGRAM));
        let expected = run(&sh, &alone, 0);
        let Mutant { line, before, after, .. } = mutant;
        assert!(
            expected == run(&sh, &all, *number),
            "{} (line {line})\n- {before}\n+ {after}",
            mutant.name(),
        );
        std::fs::remove_file(alone).unwrap();
        expected != unmutated
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let noticed: usize = std::thread::scope(|scope| {
        let chunks = numbered.chunks(numbered.len().div_ceil(threads));
        let compare = &compare;
        let count = |chunk: &'_ [_]| chunk.iter().filter(|item| compare(item)).count();
        let running: Vec<_> = chunks.map(|chunk| scope.spawn(move || count(chunk))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // The program shows nearly every change, or the comparison above would prove little.
    assert!(noticed * 100 >= numbered.len() * 80, "{noticed} of {}", numbered.len());
}

#[test]
fn the_program_has_a_mutant_of_every_operator() {
    let found: BTreeSet<_> = mutants().iter().map(|mutant| mutant.operator).collect();
    let all: BTreeSet<_> = Operator::ALL.iter().copied().collect();
    let missing: Vec<_> = all.difference(&found).collect();
    assert_eq!(missing, [&Operator::Default]);
}

#[test]
fn a_compiler_error_names_the_mutant_to_drop() {
    let mutants = mutants();
    let numbered: Vec<_> = (1..).zip(&mutants).collect();
    let switched = switched(PROGRAM, &numbered);
    for (number, mutant) in &numbered {
        let choice = format!("PERFSEC_MUTANT({number})");
        let line = switched.text.lines().position(|line| line.contains(&choice));
        assert_eq!(line.is_some(), mutant.is_switched(), "{}", mutant.name());
        let Some(line) = line else { continue };
        assert_eq!(switched.at_line(line + 1), [*number], "{}", mutant.name());
        assert!(switched.near_line(line + 1).contains(number));
    }
    let main = switched.text.lines().position(|line| line.starts_with("int main")).unwrap();
    assert_eq!(switched.at_line(main + 1), []);
    assert_eq!(switched.near_line(main + 100), []);
}

#[test]
fn names_are_unique_and_survive_moved_lines() {
    let mutants = mutants();
    let names: BTreeSet<_> = mutants.iter().map(Mutant::name).collect();
    assert_eq!(names.len(), mutants.len());
    let moved = format!("\n\n{PROGRAM}");
    let file = SourceFile::new("program.c", &moved, &Config::parse("CONFIG_AUDIT=y\n"));
    let again: BTreeSet<_> = file.mutants(FUNCTIONS).unwrap().iter().map(Mutant::name).collect();
    assert_eq!(names, again);
}
