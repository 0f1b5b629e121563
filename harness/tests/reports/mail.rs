//! The text for a mailing list, and the message with it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Ended, Place};
use crate::{golden as check, place as path};
use perfsec::case::Library;
use perfsec::judge::Verdict;
use perfsec::record::{self, Run};
use perfsec::report::mail::{Letter, Mailbox, MessageId, Original, Regzbot, text};
use perfsec::reproduce::of_failures;
use rstest::rstest;
use serde_json::Value;

fn run() -> Run {
    record::read(&path("run.jsonl")).expect("the record of tests").run
}

fn ann() -> Mailbox {
    "Ann Exämple <ann@example.org>".parse().expect("an address")
}

/// A regression report in reply to a patch.
fn letter() -> Letter {
    let original = Original::read(&path("original.mbox"), None).expect("a mail");
    let id: MessageId = "perfsec.0123456789abcdef@example.org".parse().expect("an id");
    let commands = ["introduced=v6.1..v7.3-rc1", "title=perf: EACCES where EPERM was promised"];
    Letter {
        from: ann(),
        to: original.to,
        cc: original.cc,
        subject: None,
        id,
        thread: Some(original.thread),
        regzbot: Regzbot::parse(&commands).expect("commands"),
        attachments: Vec::new(),
        now: 0,
    }
}

#[test]
fn the_text_for_a_mailing_list_is_as_a_person_has_read_it() {
    check("run.txt", &text(&run(), Some(&ann())).plain());
}

#[test]
fn the_mail_is_as_a_person_has_read_it() {
    check("run.eml", &letter().write(&run()).plain());
}

#[test]
fn the_text_is_ascii_and_only_quotes_are_wide() {
    let text = text(&run(), None).plain();
    assert!(text.is_ascii());
    let quotes = |line: &str| {
        let quote = line.strip_prefix("     ").unwrap_or_default();
        quote.starts_with(['|', '+', '-', ' '])
    };
    let wide: Vec<_> = text.lines().filter(|line| line.len() > 78 && !quotes(line)).collect();
    assert_eq!(wide, [""; 0]);
    assert!(text.lines().any(|line| line.len() > 78), "nothing is quoted");
}

/// Runs perfsec with a git that has no user.
fn perfsec(place: &Place, arguments: &[&str]) -> Ended {
    let mut command = place.command(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    Ended::of(command.output().expect("perfsec starts"))
}

fn report(place: &Place, arguments: &[&str]) -> Ended {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
    let record = record.display().to_string();
    perfsec(place, &[&["report", record.as_str()], arguments].concat())
}

#[test]
fn a_report_on_the_command_line_is_the_one_of_the_library() {
    let place = Place::new();
    let ended = report(&place, &["--format", "text"]);
    ended.succeeds();
    assert_eq!(ended.stdout, text(&run(), None).plain());

    let file = place.path().join("m").display().to_string();
    let original = path("original.mbox").display().to_string();
    let ended = report(
        &place,
        &[
            "--mail",
            "--from",
            "Ann Exämple <ann@example.org>",
            "--reply-to-mbox",
            &original,
            "--regzbot",
            "introduced=v6.1..v7.3-rc1",
            "--regzbot",
            "title=perf: EACCES where EPERM was promised",
            "--out",
            &file,
        ],
    );
    ended.succeeds();
    let id = |mail: &str| -> String {
        let line = mail.lines().find(|line| line.starts_with("Message-ID: "));
        line.expect("an id").to_owned()
    };
    let (mail, ours) = (fs::read_to_string(&file).expect("a mail"), letter().write(&run()).plain());
    assert_ne!(id(&mail), id(&ours));
    assert_eq!(mail.replace(&id(&mail), &id(&ours)), ours);
}

#[rstest]
#[case::nobody(&["--mail"], "a mail needs a sender")]
#[case::no_address(&["--mail", "--from", "Ann"], "is not an address")]
#[case::injection(&["--mail", "--from", "a@b", "--to", "c@d\nBcc: e@f"], "is not an address")]
#[case::no_id(&["--mail", "--from", "a@b", "--in-reply-to", "a b"], "is not a message id")]
#[case::no_mail(&["--to", "a@b"], "--mail")]
#[case::other_format(&["--format", "json", "--from", "a@b"], "--from is for --mail and for")]
#[case::both(&["--mail", "--format", "json"], "cannot be used with")]
#[case::bot(&["--mail", "--from", "a@b", "--regzbot", "introduced=6.1"], "expected a commit")]
#[case::bot_alone(&["--mail", "--from", "a@b", "--regzbot", "title=x"], "--in-reply-to")]
#[case::no_file(&["--mail", "--from", "a@b", "--reply-to-mbox", "none"], "cannot read none")]
#[case::subject_of_nothing(&["--mail", "--from", "a@b", "--subject-of", "x"], "--in-reply-to")]
fn a_mistake_is_reported(#[case] arguments: &[&str], #[case] words: &str) {
    let ended = report(&Place::new(), arguments);
    ended.fails(2, words);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_file_that_cannot_be_written_is_reported() {
    report(&Place::new(), &["--mail", "--from", "a@b", "--out", "none/m"])
        .fails(5, "cannot write none/m");
}

/// Reads a mail from standard input and prints what a mail program would show.
const SHOW: &str = "
import email, email.policy, json, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
headers = {name: str(value) for name, value in mail.items()}
body = mail.get_payload(decode=True).decode(mail.get_content_charset())
defects = [str(d) for d in mail.defects] + [str(d) for v in mail.values() for d in v.defects]
print(json.dumps({'headers': headers, 'body': body, 'defects': defects}))
";

#[test]
#[ignore = "needs python3"]
fn pythons_email_reads_the_mail_back() {
    let mut letter = letter();
    letter.cc.push("\"Zoë, the \\\"Z\\\"\" <zoe@example.org>".parse().expect("an address"));
    letter.subject = Some(format!("[REGRESSION] perf: é {}", "long ".repeat(40)));
    let mail = letter.write(&run()).plain();
    let mut python = Command::new("python3")
        .args(["-c", SHOW])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    python.stdin.take().expect("a pipe").write_all(mail.as_bytes()).expect("python reads");
    let output = python.wait_with_output().expect("python ends");
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    assert_eq!(seen["defects"], serde_json::json!([]));
    let (_, body) = mail.split_once("\n\n").expect("a body");
    assert_eq!(seen["body"], body);
    // A person has read it in the golden file of the other test.
    let golden = std::fs::read_to_string(path("run.eml")).expect("the mail as it was");
    let date = golden.lines().find_map(|line| line.strip_prefix("Date: ")).expect("a date");
    let expected = serde_json::json!({
        "From": "Ann Exämple <ann@example.org>",
        "To": "Zoë Author <zoe@example.com>",
        "Cc": "selinux@vger.kernel.org, \"Doe, John\" <john@example.com>, \
            \"Zoë, the \\\"Z\\\"\" <zoe@example.org>, regressions@lists.linux.dev",
        "Subject": letter.subject.as_deref().unwrap_or_default().trim_end(),
        "Date": date,
        "Message-ID": "<perfsec.0123456789abcdef@example.org>",
        "In-Reply-To": "<20200227.2@example.com>",
        "References": "<20200227.0@example.com> <20200227.2@example.com>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=\"us-ascii\"",
        "Content-Transfer-Encoding": "7bit",
    });
    assert_eq!(seen["headers"], expected);
}

/// A run in which one cell of the built-in suite failed.
fn failed(library: &Library) -> Run {
    let mut run = run();
    let case = library.cases.iter().find(|case| case.name == "open/cpu-kernel").expect("a case");
    let at = case.axes.coordinates().next().expect("a cell");
    for lane in &mut run.lanes {
        for cell in &mut lane.cells {
            cell.judgement.verdict = Verdict::Pass;
        }
    }
    let cell = &mut run.lanes[0].cells[0];
    cell.judgement.verdict = Verdict::Fail;
    cell.case.clone_from(&case.name);
    cell.case_sha256 = case.sha256.chars().take(16).collect();
    cell.name = case.cell_name(&at);
    cell.at = at;
    run
}

#[test]
fn a_failure_of_the_built_in_suite_has_a_program_unless_the_case_has_changed() {
    let library = Library::built_in().expect("the suite");
    let mut run = failed(&library);
    let programs = of_failures(&run, &library);
    assert_eq!(programs.len(), 1);
    assert_eq!(programs[0].cell, run.lanes[0].cells[0].name);
    assert!(programs[0].name.starts_with("open-cpu-kernel-"), "{}", programs[0].name);
    assert!(programs[0].text.contains(&format!(" * {}\n", programs[0].cell)));
    run.lanes[0].cells[0].case_sha256 = "0".to_owned();
    assert_eq!(of_failures(&run, &library), []);
}
