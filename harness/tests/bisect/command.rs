//! The command line of `perfsec bisect` and `perfsec bisect step`.

use std::path::Path;

use rstest::rstest;

use crate::support::{Ended, Place};
use crate::tree::FakeTree;

/// Runs perfsec where git has no user.name and user.email.
fn perfsec(place: &Place, arguments: &[&str]) -> Ended {
    let mut command = place.command(&[&["bisect"], arguments].concat());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    Ended::of(command.output().expect("perfsec starts"))
}

/// A tree with a commit that does not build, one that is not a kernel, and one without a common
/// ancestor.
fn place() -> Place {
    let place = Place::new();
    let tree = FakeTree::new(&place.path().join("linux"), Path::new("/none"));
    tree.commit("core: breaks", &[("kernel/core.c", "int core(void)\n{\n\treturn other;\n}\n")]);
    tree.git(&["tag", "broken"]);
    tree.commit("core: still breaks", &[("a", "")]);
    tree.git(&["tag", "after"]);
    tree.git(&["rm", "--quiet", "Kconfig"]);
    tree.commit("no kernel", &[]);
    tree.git(&["tag", "none"]);
    tree.git(&["checkout", "--quiet", "--orphan", "apart", "v6.1.192"]);
    tree.commit("another history", &[("a", "")]);
    tree.git(&["checkout", "--quiet", "master"]);
    place.file("not-git/Makefile", "all:\n");
    place.file("n.config", "CONFIG_TINY=y\n");
    place.file("report", "an earlier report\n");
    place
}

fn qemu(place: &Place) -> String {
    let qemu = place.file("qemu", "#!/bin/sh\necho 'QEMU emulator version 7.2'\n");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    qemu
}

#[rstest]
#[case::no_ends(&[], 2, "--good <REV>")]
#[case::no_bad_end(&["--good", "v6.1.192"], 2, "--bad <REV>")]
#[case::no_cell(&["--good", "a", "--bad", "b", "no/such/cell"], 4, "the filters select no cell")]
#[case::no_cases(&["--good", "a", "--bad", "b", "--cases", "none"], 2, "none")]
#[case::fragment(&["--good", "a", "--bad", "b", "--config", "none"], 2, "find fragment `none`")]
#[case::no_sender(&["--good", "a", "--bad", "b", "--mail"], 2, "a mail needs a sender")]
#[case::two_forms(
    &["--good", "a", "--bad", "b", "--mail", "--format", "json"],
    2,
    "cannot be used with"
)]
#[case::kernel(
    &["--good", "a", "--bad", "b", "--kernel", "debian:6.1"],
    2,
    "unexpected argument '--kernel'"
)]
#[case::unwritable(
    &["--good", "a", "--bad", "b", "--out", "none/report"],
    5,
    "cannot write none/report"
)]
#[case::destroyed(
    &["--good", "a", "--bad", "b", "--config", "n.config", "--out", "./n.config"],
    2,
    "writing it would destroy it"
)]
#[case::no_qemu(&["--good", "a", "--bad", "b", "--qemu", "./none"], 5, "./none")]
fn a_mistake_is_reported_at_once(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let ended = perfsec(&place(), arguments);
    ended.fails(code, words);
    assert_eq!(ended.stdout, "");
}

#[rstest]
#[case::no_tree("none", "v6.1.192", "HEAD", 2, "cannot read the kernel tree none")]
#[case::no_repository("not-git", "a", "b", 2, "it is not a git repository, so it has no revisions")]
#[case::no_good("linux", "v7.9", "HEAD", 2, "cannot find revision \"v7.9\" in linux")]
#[case::no_bad("linux", "v6.1.192", "-x", 2, "cannot find revision \"-x\" in linux")]
#[case::hostile("linux", "v6.1.192", "\u{1b}[2J", 2, "\\u{1b}[2J")]
#[case::no_kernel("linux", "v6.1.192", "none", 2, "has no Kconfig")]
#[case::one("linux", "v6.1.192", "v6.1.192^{commit}", 2, "good and bad are the same commit")]
#[case::backwards("linux", "after", "v6.1.192", 2, "name the older one --good")]
#[case::apart("linux", "v6.1.192", "apart", 2, "no commit in common")]
#[ignore = "needs secilc"]
fn bad_ends_are_refused_before_anything_is_built(
    #[case] tree: &str,
    #[case] good: &str,
    #[case] bad: &str,
    #[case] code: i32,
    #[case] words: &str,
) {
    let place = place();
    let (good, bad) = (format!("--good={good}"), format!("--bad={bad}"));
    let to = ["--qemu", &qemu(&place), "--out", "report"];
    let ended = perfsec(&place, &[&[good.as_str(), &bad, "--tree", tree], &to[..]].concat());
    ended.fails(code, words);
    let report = std::fs::read_to_string(place.path().join("report")).expect("it is there");
    assert_eq!((ended.stdout.as_str(), report.as_str()), ("", "an earlier report\n"));
    assert!(!ended.stderr.contains("building"), "{}", ended.stderr);
}

#[test]
#[ignore = "needs secilc, git, make and gcc"]
fn an_end_that_does_not_build_is_reported_with_its_error() {
    let place = place();
    let ends = ["--good=broken", "--bad=after", "--tree", "linux", "--qemu", &qemu(&place)];
    let ended = perfsec(&place, &ends);
    ended.fails(7, "cannot prove that the good end is good: ");
    assert!(ended.stderr.contains("kernel/core.c:3: "), "{}", ended.stderr);
}

#[rstest]
#[case::option(&["step", "--nonsense"], "unexpected argument '--nonsense'")]
#[case::cell(&["step", "no/such/cell"], "the filters select no cell")]
#[case::baseline(&["step", "--baseline", "none.jsonl"], "none.jsonl")]
#[case::no_record(&["step", "--baseline", "linux/Makefile"], "linux/Makefile")]
#[case::fragment(&["step", "--config", "none"], "find fragment `none`")]
#[case::qemu(&["step", "--qemu", "./none"], "./none")]
fn an_error_that_is_not_the_commits_fault_stops_git(
    #[case] arguments: &[&str],
    #[case] words: &str,
) {
    let ended = perfsec(&place(), arguments);
    ended.fails(128, words);
    assert_eq!(ended.stdout, "");
}

#[rstest]
#[case::no_tree("none", 128, "none")]
#[case::no_kernel("linux", 128, "has no Kconfig")]
#[ignore = "needs secilc"]
fn a_directory_that_is_not_a_kernel_stops_git(
    #[case] tree: &str,
    #[case] code: i32,
    #[case] words: &str,
) {
    let place = place();
    perfsec(&place, &["step", "--tree", tree, "--qemu", &qemu(&place)]).fails(code, words);
}

#[test]
fn help_exits_with_success() {
    let ended = perfsec(&Place::new(), &["step", "--help"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("125  skip"), "{}", ended.stdout);
}
