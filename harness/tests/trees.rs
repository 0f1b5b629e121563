//! Kernel trees that are none, or not as they should be: each with one clear error and its exit code.

#[expect(dead_code, reason = "shared with tests that build")]
#[path = "support/mod.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use rstest::rstest;
use support::{Ended, Place};
use tree::FakeTree;

/// A place with the tree `linux`.
fn place() -> (Place, FakeTree) {
    let place = Place::new();
    let tree = FakeTree::new(&place.path().join("linux"), Path::new("/none"));
    (place, tree)
}

/// `perfsec kernel build` with a git that knows nobody.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&[&["kernel", "build"], arguments].concat());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

fn build(place: &Place, arguments: &[&str]) -> Ended {
    Ended::of(command(place, arguments).output().expect("perfsec starts"))
}

#[rstest]
#[case::as_it_is("linux")]
#[case::revision("linux@HEAD")]
#[case::bare("bare")]
fn a_repository_of_somebody_else_s_is_refused_in_git_s_words(#[case] named: &str) {
    let (place, tree) = place();
    tree.git(&["clone", "--quiet", "--bare", ".", "../bare"]);
    let ended = command(&place, &[named]).env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1").output();
    let ended = Ended::of(ended.expect("perfsec starts"));
    ended.fails(2, "as a git repository: detected dubious ownership in repository at ");
    assert!(ended.stderr.contains("git config --global --add safe.directory "), "{}", ended.stderr);
}

#[test]
fn a_worktree_whose_repository_is_gone_is_refused_in_git_s_words() {
    let (place, tree) = place();
    tree.git(&["worktree", "add", "--quiet", "../worktree"]);
    fs::rename(tree.path(), place.path().join("moved")).expect("it is moved");
    build(&place, &["worktree"])
        .fails(2, "use worktree as a git repository: not a git repository: ");
}

#[test]
fn a_repository_that_is_damaged_is_not_taken_for_a_part_of_the_one_around_it() {
    let (place, tree) = place();
    FakeTree::new(place.path(), Path::new("/none"));
    fs::remove_file(tree.path().join(".git/HEAD")).expect("it is damaged");
    build(&place, &["linux"]).fails(2, "as a git repository: git passes it over and finds ");
}

#[test]
fn a_part_of_a_tree_is_told_with_the_top_of_it() {
    let (place, _tree) = place();
    let top = fs::canonicalize(place.path().join("linux")).expect("it is there");
    let hint = format!("; the top of the kernel tree that it is in is {}", top.display());
    build(&place, &["linux/kernel"]).fails(2, &format!("it has no Makefile{hint}"));
    place.file("linux/kernel/Makefile", "obj-y += core.o\n");
    build(&place, &["linux/kernel"]).fails(2, &format!("it has no Kconfig{hint}"));
    build(&place, &["linux/kernel@HEAD"]).fails(2, &format!("so it has no revisions{hint}"));
}

#[test]
fn what_is_neither_file_nor_directory_is_not_read() {
    let (place, _tree) = place();
    nix::unistd::mkfifo(&place.path().join("pipe"), Mode::S_IRWXU).expect("a pipe");
    for named in ["/dev/zero", "pipe"] {
        build(&place, &[named]).fails(2, "it is no regular file and no directory");
    }
}

#[test]
fn a_name_with_an_at_sign_that_is_none_is_told_in_both_readings() {
    let (place, _tree) = place();
    let told = "cannot read the kernel tree a@b: there is neither that nor a, of which b could be a revision";
    build(&place, &["a@b"]).fails(2, told);
    let twice = "--rev and @v6.1.192: name the revision once";
    build(&place, &["linux@v6.1.192", "--rev", "HEAD"]).fails(2, twice);
    build(&place, &["a@b", "--rev", "HEAD"]).fails(2, "once; there is no tree a@b");
    build(&place, &["debian:6.1", "--rev", "HEAD"]).fails(2, "a package has no revisions");
}

#[test]
fn a_directory_with_an_at_sign_in_its_name_is_named_like_any_other() {
    let (place, tree) = place();
    fs::rename(tree.path(), place.path().join("job@2")).expect("it is renamed");
    for arguments in [&["job@2@none"][..], &["job@2", "--rev", "none"]] {
        build(&place, arguments).fails(2, "cannot find revision \"none\" in job@2");
    }
}
