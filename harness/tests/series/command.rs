//! The command line of `perfsec series`.

use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::support::{Ended, Place, kernel};
use crate::tree::FakeTree;

const MAIL: &str = "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: Ann Example <ann@example.org>\n\
    To: list@example.org\nMessage-ID: <1@example.org>\nSubject: [PATCH v2 1/1] core: a comment\n\n\
    text\n---\n\
    diff --git a/kernel/core.c b/kernel/core.c\n--- a/kernel/core.c\n+++ b/kernel/core.c\n\
    @@ -1,4 +1,5 @@\n+// a comment\n int core(void)\n {\n \treturn 0;\n }\n-- \n2.47\n";

/// Runs perfsec where git has no user.name and user.email.
fn perfsec(place: &Place, arguments: &[&str]) -> Ended {
    let mut command: Command = place.command(&[&["series"], arguments].concat());
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    Ended::of(command.output().expect("perfsec starts"))
}

fn place() -> Place {
    let place = Place::new();
    place.file("a.mbox", MAIL);
    place.file("patches/1.patch", MAIL);
    place.file("no-cell.toml", "[[change]]\ncells = [\"no/such/cell\"]\nreason = \"meant\"\n");
    place.file("report", "an earlier report\n");
    place.file("part.mbox", &MAIL.replace("1/1", "1/2"));
    place.file("wrong.toml", "[[change]]\npatch = 2\ncells = [\"open\"]\nreason = \"meant\"\n");
    let tree = FakeTree::new(&place.path().join("linux"), Path::new("/none"));
    tree.commit("a", &[("a", "")]);
    tree.git(&["tag", "after"]);
    tree.git(&["reset", "--quiet", "--hard", "v6.1.192"]);
    place
}

#[rstest]
#[case::nothing(&["none.mbox"], 2, "no such file, and not a range")]
#[case::part(&["part.mbox"], 2, "v2 lacks patch 2 of 2")]
#[case::no_cell(&["a.mbox", "no/such/cell"], 4, "the filters select no cell")]
#[case::no_stated(
    &["a.mbox", "--expect", "none.toml"],
    2,
    "cannot read the stated changes in none.toml"
)]
#[case::wrong_stated(&["a.mbox", "--expect", "wrong.toml"], 2, "the series has no patch 2")]
#[case::no_stated_cell(&["a.mbox", "--expect", "no-cell.toml"], 2, "there is no such cell")]
#[case::one_cell_of_two(
    &["a.mbox", "open", "no/such/cell", "--expect", "none.toml"],
    2,
    "warning: no cell is selected by `no/such/cell`\n"
)]
#[case::destroyed(&["a.mbox", "--out", "a.mbox"], 2, "writing it would destroy it")]
#[case::cover_destroyed(&["a.mbox", "--out", "a.cover"], 2, "writing it would destroy it")]
#[case::patch_destroyed(&["patches", "--out", "patches/1.patch"], 2, "writing it would destroy it")]
#[case::fragment_destroyed(
    &["a.mbox", "--config", "wrong.toml", "--out", "wrong.toml"],
    2,
    "writing it would destroy it"
)]
#[case::kernel(&["a.mbox", "--kernel", "debian:6.1"], 2, "name their tree with --tree")]
#[case::no_sender(&["a.mbox", "--mail"], 2, "a mail needs a sender")]
#[case::bot(
    &["a.mbox", "--mail", "--regzbot", "introduced=1f2e3d4c5d"],
    2,
    "unexpected argument '--regzbot'"
)]
#[case::unwritable(&["a.mbox", "--out", "none/report"], 5, "cannot write none/report")]
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
#[case::fragment(&["a.mbox", "--tree", "linux", "--config", "none"], 2, "none")]
#[case::no_tree(&["a.mbox", "--tree", "none"], 2, "none")]
#[case::no_base(
    &["a.mbox", "--tree", "linux", "--base", "v7.9"],
    2,
    "cannot find revision \"v7.9\""
)]
#[case::two_bases(
    &["a.mbox", "--tree", "linux@HEAD", "--base", "v6.1.192"],
    2,
    "name the base once"
)]
#[case::no_range(&["v6.1.192..v7.9", "--tree", "linux"], 2, "cannot find revision \"v7.9\"")]
#[case::empty_range(
    &["v6.1.192..HEAD", "--tree", "linux"],
    2,
    "cannot read a series from v6.1.192..HEAD: the range has no commit\n"
)]
#[case::reversed(
    &["after..v6.1.192", "--tree", "linux"],
    2,
    "no commit: v6.1.192 is before after; did you mean v6.1.192..after"
)]
#[ignore = "needs secilc"]
fn a_mistake_is_reported_before_anything_is_built(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    let place = place();
    let qemu = place.file("qemu", "#!/bin/sh\necho 'QEMU emulator version 7.2'\n");
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let ended = perfsec(&place, &[arguments, &["--qemu", &qemu, "--out", "report"]].concat());
    ended.fails(code, words);
    let report = std::fs::read_to_string(place.path().join("report")).expect("it is there");
    assert_eq!((ended.stdout.as_str(), report.as_str()), ("", "an earlier report\n"));
}

#[test]
#[ignore = "needs a kernel in PERFSEC_TEST_KERNEL, QEMU, secilc and a compiler"]
fn a_series_is_checked_from_a_mailbox_to_a_report() {
    let place = place();
    let image = kernel();
    let tree = FakeTree::new(&place.path().join("real"), Path::new(&image));
    let cell = "open/cpu-kernel/none_t/paranoid=2/perfmon";
    let arguments = ["a.mbox", "--tree", "real", "--accel", "tcg", cell];
    let ended = perfsec(&place, &[&arguments[..], &["--boot-limit", "300"]].concat());
    ended.succeeds();
    assert!(ended.stdout.contains("--boot-limit 300"), "{}", ended.stdout);
    assert!(ended.stdout.starts_with("perfsec: 1 patch changes no cell\n"), "{}", ended.stdout);
    // The comment does not change the image, and the second check runs no kernel again.
    assert!(ended.stderr.contains("the same kernel as one that ran"), "{}", ended.stderr);
    let ended = perfsec(
        &place,
        &[&arguments[..], &["--mail", "--from", "Bob Example <bob@example.org>"]].concat(),
    );
    ended.succeeds();
    assert!(ended.stderr.contains("an earlier check ran it"), "{}", ended.stderr);
    // The command is that of this check, not of the run that it reuses.
    assert!(!ended.stdout.contains("--boot-limit"), "{}", ended.stdout);
    for line in ["To: \"Ann Example\" <ann@example.org>", "In-Reply-To: <1@example.org>"] {
        assert!(ended.stdout.contains(line), "{}", ended.stdout);
    }
    // One cell is not the suite.
    assert!(!ended.stdout.contains("Tested-by"), "{}", ended.stdout);
    assert!(ended.stderr.contains("only some of the cells ran"), "{}", ended.stderr);
    tree.commit("core: breaks", &[("kernel/core.c", "int core(void)\n{\n\treturn other;\n}\n")]);
    let ended = perfsec(
        &place,
        &["v6.1.192..HEAD", "--tree", "real", "--accel", "tcg", cell, "--format", "json"],
    );
    assert_eq!(ended.code, Some(7), "{}", ended.stderr);
    let outcome: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let first = &outcome["patches"][0]["build"]["first"];
    assert_eq!((first["file"].as_str(), first["line"].as_u64()), (Some("kernel/core.c"), Some(3)));
}
