//! Defaults of options in `perfsec.toml`.

#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use rstest::rstest;
use support::Place;

const CASE: &str = include_str!("../../cases/suite/event/read.toml");

/// A place with a case, and a project in `project`.
fn place() -> Place {
    let place = Place::new();
    place.file("project/suite/event/read.toml", CASE);
    place.file("project/below/empty", "");
    place
}

/// The cells that `perfsec run --list` prints in a directory of the project.
fn listed(place: &Place, directory: &str, options: &[&str]) -> Vec<String> {
    let arguments = [&["run", "--list"], options].concat();
    let mut command = place.command(&arguments);
    command.current_dir(place.path().join(directory));
    let ended = support::Ended::of(command.output().expect("perfsec starts"));
    ended.succeeds();
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_project_and_a_user_choose_cells_unless_they_are_typed() {
    let place = place();
    place.file("config/perfsec/perfsec.toml", "mode = 'permissive'\ngrant = 'none'\n");
    place.file("project/perfsec.toml", "cases = 'suite'\n[run]\nmode = ['enforcing']\n");
    for directory in ["project", "project/below"] {
        let cells = listed(&place, directory, &[]);
        assert!(!cells.is_empty());
        assert!(cells.iter().all(|cell| cell.ends_with("/none/enforcing")), "{cells:?}");
    }
    let cells = listed(&place, "project", &["--mode", "permissive", "--grant=perfmon"]);
    assert!(cells.iter().all(|cell| cell.ends_with("/perfmon/permissive")), "{cells:?}");
    let all = listed(&place, "project", &["--no-config", "--cases", "suite"]);
    assert!(all.len() > 2 * cells.len(), "{all:?}");
}

#[rstest]
#[case::key("grnat = 'none'", "did you mean `grant`?")]
#[case::program("qemu = './evil'", "`qemu` cannot be set in a file")]
#[case::kind("grant = 7.5", "`grant` is a string, or an array of strings")]
#[case::syntax("grant = ", "perfsec.toml:1")]
#[case::value("\ngrant = 'perfmn'", "note: --grant=perfmn is from")]
fn a_mistake_in_a_file_is_bad_input_with_its_place(#[case] text: &str, #[case] words: &str) {
    let place = Place::new();
    place.file("perfsec.toml", text);
    place.perfsec(&["run", "--list"]).fails(2, words);
    place.perfsec(&["run", "--list"]).fails(2, "perfsec.toml");
    // A command without such an option does not read it.
    place.perfsec(&["steps"]).succeeds();
}

#[test]
fn a_file_that_cannot_be_read_is_bad_input() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/zero", place.path().join("perfsec.toml")).expect("a link");
    place.perfsec(&["run", "--list"]).fails(2, "perfsec.toml");
}
