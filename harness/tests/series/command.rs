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
    let b4_check = |arguments: &[&str]| place.fed(&[&["b4-check"], arguments].concat(), MAIL);
    for arguments in [&[][..], &["--series"]] {
        let ended = b4_check(arguments);
        ended.succeeds();
        let answers: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(
            (&answers[0]["tool"], &answers[0]["status"]),
            (&"perfsec".into(), &"pass".into())
        );
    }
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

#[rstest]
#[case::no_mail("", 2, "no mail with a Message-ID")]
#[case::no_id("Subject: a\n\ntext\n", 2, "no mail with a Message-ID")]
#[case::unknown(MAIL, 0, "")]
fn b4_gets_no_answer_about_another_mail(
    #[case] mail: &str,
    #[case] code: i32,
    #[case] words: &str,
) {
    let ended = Place::new().fed(&["b4-check"], mail);
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(ended.stdout, if code == 0 { "[]\n" } else { "" });
}

/// Runs the checks of `b4 review` on each mail of a mailbox, as b4 does.
const B4: &str = r#"
import json, mailbox, sys
from b4.review import checks
mails = [(mail["message-id"].strip("<>"), mail) for mail in mailbox.mbox(sys.argv[1], create=False)]
command = sys.argv[2]
series = checks.run_series_checks(mails[0], [command + " --series"], ".")
json.dump([checks.run_perpatch_checks(mails, [command], "."), series], sys.stdout)
"#;

/// A program in the place of b4: it writes what is its argument's.
#[rstest]
#[case::fetched("/bin/cp \"$HERE/a.mbox\" \"$3/v2_core.mbx\"", 2, "v2 lacks patch 2 of 2")]
#[case::failed("echo Looking >&2; echo 'No such msgid' >&2; exit 1", 2, "\n  No such msgid")]
#[case::nothing("exit 0", 2, "`b4 am` wrote no mailbox")]
#[case::absent("", 5, "find b4; install it")]
fn a_message_is_fetched_by_b4(#[case] script: &str, #[case] code: i32, #[case] words: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    // What b4 fetched is judged as any mailbox is.
    place.file("a.mbox", &MAIL.replace("1/1", "1/2"));
    if !script.is_empty() {
        let b4 = place.file("bin/b4", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(b4, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let mut command = place.command(&["series", "https://example.org/all/1@example.org/T/#t"]);
    command.env("PATH", place.path().join("bin")).env("HERE", place.path());
    Ended::of(command.output().expect("perfsec starts")).fails(code, words);
}

#[test]
#[ignore = "needs b4, in the environment of PERFSEC_PYTHON, and secilc"]
fn b4_shows_the_answers() {
    let place = place();
    place.file("b.mbox", &MAIL.replace("int core", "int other"));
    let ended = perfsec(&place, &["b.mbox", "--tree", "linux", "--base", "v6.1.192"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stdout.contains("the patch does not apply to"), "{}", ended.stdout);
    let python = std::env::var("PERFSEC_PYTHON").expect("PERFSEC_PYTHON");
    let mut command = place.environment(Command::new(python));
    let program = format!("{} b4-check", env!("CARGO_BIN_EXE_perfsec"));
    let output = command.args(["-c", B4, "b.mbox", &program]).output().expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let all: serde_json::Value = serde_json::from_str(&text).expect(&text);
    for answer in [&all[0]["1@example.org"][0], &all[1][0]] {
        assert_eq!((&answer["tool"], &answer["status"]), (&"perfsec".into(), &"fail".into()));
        let summary = answer["summary"].as_str().unwrap_or_default();
        assert!(summary.starts_with("the patch does not apply to v6.1.192"), "{all}");
    }
}
