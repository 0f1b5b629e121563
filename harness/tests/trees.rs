//! Unusable kernel trees: each gives one clear error and exit code 2 (5 without git).

#[expect(dead_code, reason = "shared with tests that build")]
#[path = "support/mod.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use rstest::rstest;
use support::{Ended, Place};
use tree::FakeTree;

/// A test directory with the tree `linux`.
fn place() -> (Place, FakeTree) {
    let place = Place::new();
    let tree = FakeTree::new(&place.path().join("linux"), Path::new("/none"));
    (place, tree)
}

/// `perfsec kernel build`, without the user's git settings.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&[&["kernel", "build"], arguments].concat());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    command
}

fn build(place: &Place, arguments: &[&str]) -> Ended {
    Ended::of(command(place, arguments).output().expect("perfsec starts"))
}

#[rstest]
#[case::work_tree("linux")]
#[case::revision("linux@HEAD")]
#[case::bare("bare")]
fn a_repository_of_another_user_is_refused_with_git_s_message(#[case] named: &str) {
    let (place, tree) = place();
    tree.git(&["clone", "--quiet", "--bare", ".", "../bare"]);
    let ended = command(&place, &[named]).env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1").output();
    let ended = Ended::of(ended.expect("perfsec starts"));
    ended.fails(2, "as a git repository: detected dubious ownership in repository at ");
    assert!(ended.stderr.contains("git config --global --add safe.directory "), "{}", ended.stderr);
}

#[test]
fn a_worktree_whose_repository_is_gone_is_refused_with_git_s_message() {
    let (place, tree) = place();
    tree.git(&["worktree", "add", "--quiet", "../worktree"]);
    fs::rename(tree.path(), place.path().join("moved")).expect("it is moved");
    build(&place, &["worktree"])
        .fails(2, "use worktree as a git repository: not a git repository: ");
}

#[test]
fn a_damaged_repository_is_not_taken_for_part_of_an_outer_one() {
    let (place, tree) = place();
    FakeTree::new(place.path(), Path::new("/none"));
    fs::remove_file(tree.path().join(".git/HEAD")).expect("it is damaged");
    build(&place, &["linux"]).fails(2, "as a git repository: git skips it and uses ");
}

#[test]
fn the_error_for_a_subdirectory_names_the_top_of_the_tree() {
    let (place, _tree) = place();
    let top = fs::canonicalize(place.path().join("linux")).expect("it is there");
    let hint = format!("; it is inside the kernel tree {}", top.display());
    build(&place, &["linux/kernel"]).fails(2, &format!("it has no Makefile{hint}"));
    place.file("linux/kernel/Makefile", "obj-y += core.o\n");
    build(&place, &["linux/kernel"]).fails(2, &format!("it has no Kconfig{hint}"));
    build(&place, &["linux/kernel@HEAD"]).fails(2, &format!("so it has no revisions{hint}"));
}

#[test]
fn devices_and_pipes_are_not_read() {
    let (place, _tree) = place();
    nix::unistd::mkfifo(&place.path().join("pipe"), Mode::S_IRWXU).expect("a pipe");
    for named in ["/dev/zero", "pipe"] {
        build(&place, &[named]).fails(2, "it is neither a regular file nor a directory");
    }
}

#[test]
fn the_error_for_a_missing_name_with_an_at_sign_has_both_readings() {
    let (place, _tree) = place();
    let error = "cannot read the kernel tree a@b: neither it nor a, with b as a revision, exists";
    build(&place, &["a@b"]).fails(2, error);
    let twice = "--rev and @v6.1.192: name the revision once";
    build(&place, &["linux@v6.1.192", "--rev", "HEAD"]).fails(2, twice);
    build(&place, &["a@b", "--rev", "HEAD"]).fails(2, "once; there is no tree a@b");
    build(&place, &["debian:6.1", "--rev", "HEAD"]).fails(2, "a package has no revisions");
}

#[test]
fn a_directory_may_have_an_at_sign_in_its_name() {
    let (place, tree) = place();
    fs::rename(tree.path(), place.path().join("job@2")).expect("it is renamed");
    for arguments in [&["job@2@none"][..], &["job@2", "--rev", "none"]] {
        build(&place, arguments).fails(2, "cannot find revision \"none\" in job@2");
    }
}

#[test]
fn the_error_for_a_missing_revision_says_what_helps() {
    let (place, tree) = place();
    tree.commit("one more", &[]);
    build(&place, &["linux@none"]).fails(2, "in linux: no such revision");

    let url = format!("file://{}", tree.path().display());
    tree.git(&["clone", "--quiet", "--depth=1", &url, "../shallow"]);
    let cure = "; `git -C shallow fetch --unshallow` fetches the whole history";
    build(&place, &["shallow@HEAD~1"]).fails(2, cure);

    tree.git(&["init", "--quiet", "--initial-branch=topic", "../unborn"]);
    let reason = "its HEAD is the branch topic, which has no commit yet";
    for arguments in [&["unborn"][..], &["unborn", "--dirty"], &["unborn@HEAD~1"]] {
        build(&place, arguments).fails(2, reason);
    }
}

#[rstest]
#[case::without_files("blob:none")]
#[case::without_directories("tree:0")]
fn the_error_for_a_partial_clone_has_the_command_that_completes_it(#[case] filter: &str) {
    let (place, tree) = place();
    tree.git(&["config", "uploadpack.allowFilter", "true"]);
    let (url, filter) = (format!("file://{}", tree.path().display()), format!("--filter={filter}"));
    let clone = ["clone", "--quiet", &filter, "--no-checkout", &url, "../partial"];
    tree.git(&clone);
    let cure = "; it is a partial clone, and `git -C partial fetch --refetch --no-filter` fetches \
                the missing objects";
    build(&place, &["partial@HEAD"]).fails(2, cure);
    let fetch = ["-C", "../partial", "fetch", "--quiet", "--refetch", "--no-filter"];
    tree.git(&fetch);
    let ended = build(&place, &["partial@HEAD"]);
    assert!(!ended.stderr.contains("partial clone"), "{}", ended.stderr);
}

#[test]
fn the_error_on_a_host_without_git_names_it() {
    let (place, _tree) = place();
    let ended = command(&place, &["linux"]).env("PATH", place.path()).output();
    let ended = Ended::of(ended.expect("perfsec starts"));
    ended.fails(5, "git (which keeps the trees that kernels are built from)");
}

#[test]
fn the_error_for_an_ambiguous_revision_lists_the_candidates() {
    let (place, tree) = place();
    // With this many commits some share their first four digits.
    let commit =
        |number| format!("commit refs/heads/many\ncommitter A <a@b> {number} +0000\ndata 1\na\n");
    place.file("many", &(1..=2000).map(commit).collect::<String>());
    let import = fs::File::open(place.path().join("many")).expect("it is there");
    let mut git = Command::new("git");
    git.args(["fast-import", "--quiet"]).current_dir(tree.path()).stdin(import);
    assert!(git.status().expect("git runs").success());
    let names = tree.git(&["rev-list", "many"]);
    let mut seen = BTreeSet::new();
    let short = names.lines().map(|name| &name[..4]).find(|short| !seen.insert(*short));
    let short = short.expect("two commits that begin the same");
    let ended = build(&place, &["linux", "--rev", short]);
    ended.fails(2, &format!("in linux: short object ID {short} is ambiguous"));
    let candidates = names.lines().filter(|name| name.starts_with(short));
    for name in candidates {
        assert!(ended.stderr.contains(&name[..7]), "{}", ended.stderr);
    }
}

#[test]
fn a_directory_without_permission_is_reported_as_such() {
    if nix::unistd::geteuid().is_root() {
        // Permissions do not restrict root.
        return;
    }
    let (place, tree) = place();
    let set = |mode| fs::set_permissions(tree.path(), fs::Permissions::from_mode(mode));
    for mode in [0o600, 0o300] {
        set(mode).expect("its mode");
        build(&place, &["linux"]).fails(2, "cannot read the kernel tree linux: Permission denied");
    }
    set(0o700).expect("its mode");
}
